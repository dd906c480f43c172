"""The shapes of what commands write as JSON, as JSON Schema (draft 2020-12)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

DOCUMENTS = {
    "record": "riveg.types:Sample",
    "evaluation": "riveg.evaluation.evaluation:Evaluation",
    "comparison": "riveg.evaluation.comparison:Comparison",
    "prompt-debug": "riveg.prompt_debug.document:PromptDebug",
    "export": "riveg.exports.document:ExportDocument",
    "data-check": "riveg.datasets.check:Report",
    "status": "riveg.runs.status:RunStatus",
}
"""Documents by name: ``predict --json``, ``eval``, ``compare``, ``prompt-debug``,
``export``, ``data check``, ``status``."""


def schema_of(name: str) -> dict[str, Any]:
    """The JSON schema of a document.

    Raises:
        UserError: If there is no such document.
    """
    from riveg.errors import UserError, suggest
    from riveg.formats.records import json_schema

    if name not in DOCUMENTS:
        raise UserError(f"{name}: no such document; {suggest(name, DOCUMENTS)}")
    module, _, kind = DOCUMENTS[name].partition(":")
    schema = json_schema(getattr(import_module(module), kind))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
