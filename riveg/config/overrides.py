"""``--set``: values on the command line that take the place of a file's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from riveg.config.yaml_file import Document, Problem, parse_override
from riveg.stages.table import STAGES

TEXTS = ("name", "description", "data", "executor")
"""Keys of a system whose value is a text."""

_FORM = "STAGE.KEY=VALUE, or STAGE.KEY.KEY=VALUE for a part of a value"

_MODEL_FORM = "llm.NAME.KEY=VALUE, such as 'llm.main.serve={command: [vllm, serve]}'"


def override(document: Document, overrides: Sequence[str]) -> tuple[Document, list[Problem]]:
    """The document with ``--set`` items in place of its own values, and what is wrong with them."""
    result = dict(document.values)
    keys: list[str] = []
    problems: list[Problem] = []
    # Whole stages and backends first: they drop the file's keys, never those of another override.
    for item in sorted(overrides, key=_rank):
        parts = item.partition("=")[0].split(".")
        if "=" not in item or not 1 <= len(parts) <= _depth(parts[0]) or not all(parts):
            form = _MODEL_FORM if parts[0] == "llm" else _FORM
            problems.append(Problem("--set", None, parts[0], repr(item), f"expected {form}"))
            continue
        key, value = parse_override(item, _FORM)
        if len(parts) == 2 and parts[0] in TEXTS:
            advice = f"{parts[0]} has no keys of its own"
            problems.append(Problem(f"--set {key}", None, key, "an unknown key", advice))
            continue
        keys.append(key)
        if len(parts) == 1:
            result[key] = value
        elif len(parts) == 3:
            block = result.get(parts[0])
            inner = block.get(parts[1]) if isinstance(block, dict) else None
            if parts[0] != "llm" and not isinstance(inner, dict):
                inner = None  # keys and values replace a value without keys
            result[parts[0]] = _with_key(block, parts[1], _with_key(inner, parts[2], value))
        elif parts[1] == "backend":
            result[parts[0]] = {"backend": value}
        else:
            result[parts[0]] = _with_key(result.get(parts[0]), parts[1], value)
    return document.override(result, keys), problems


def _depth(block: str) -> int:
    """How many keys deep a value may be set: ``llm.main.model``, ``ground.recheck.threshold``."""
    return 3 if block in {"llm", *(stage.name for stage in STAGES)} else 2


def _rank(item: str) -> int:
    key = item.partition("=")[0]
    return 0 if "." not in key else 1 if key.endswith(".backend") else 1 + key.count(".")


def _with_key(block: Any, key: str, value: Any) -> Any:
    if isinstance(block, str):
        block = {"backend": block}
    elif block is not None and not isinstance(block, dict):
        return block  # a problem that the reader tells
    return {**(block or {}), key: value}
