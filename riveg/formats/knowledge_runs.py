"""Runs whose records hold a language model's knowledge, and what their manifests say of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from riveg.errors import UserError
from riveg.formats.run_records import MANIFEST, RECORDS, finished_manifest

AUGMENT = "augment"
"""The stage that gives knowledge."""

UNKNOWN = "unknown"
"""In the place of a fingerprint, where nobody knows how knowledge was made."""


@dataclass(frozen=True, slots=True)
class KnowledgeRun:
    """A run with the stage ``augment`` that has come to its end.

    Args:
        folder: The run folder.
        models: The language models of its system; empty where its knowledge was recorded.
        fingerprint: Of the stage ``augment``: the same for the same model, prompt and examples.
        limit: How many samples were asked for; ``None`` for all.
    """

    folder: Path
    models: tuple[str, ...]
    fingerprint: str
    limit: int | None

    def described(self) -> str:
        """Who has made the knowledge, for messages and cards."""
        models = ", ".join(self.models) or "an earlier run"
        part = "" if self.limit is None else f", from a run with --limit {self.limit}"
        return f"by {models} ({AUGMENT} {self.fingerprint[:16]}){part}"


def run_folder_of(path: Path) -> Path | None:
    """The run folder that a knowledge file means: itself, or that of its records.

    ``None`` where it is a file of another kind, or records without a manifest.
    """
    folder = path.parent if path.name == RECORDS else path
    return folder if (folder / MANIFEST).is_file() else None


def knowledge_run(path: Path) -> KnowledgeRun | None:
    """The run that a knowledge file is of; ``None`` where it is of none.

    Raises:
        UserError: If the run has not come to its end, or has no stage ``augment``.
    """
    folder = run_folder_of(path)
    if folder is None:
        return None
    manifest = finished_manifest(folder)
    stage = manifest.get("stages", {}).get(AUGMENT)
    if stage is None:
        raise UserError(
            f"{folder}: its run has no stage {AUGMENT}, which gives knowledge; give it to the "
            f"system, for example --set {AUGMENT}=chat"
        )
    models = tuple(str(one.get("model")) for one in manifest.get("models", {}).values())
    return KnowledgeRun(
        folder=folder,
        models=models if stage["backend"] == "chat" else (),
        fingerprint=stage.get("fingerprint") or UNKNOWN,
        limit=manifest.get("limit"),
    )
