"""Entailment answers from the records of another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.protocols import AnswerOrIssue, Entailer, Mention
from riveg.stages.recordings import EntityRecordings, read_entities, recorded_digest
from riveg.types import Entailment


class RecordedEntailerConfig(BackendConfig[Entailer]):
    """``file``: a run's ``records.jsonl``, or the run folder."""

    stage: ClassVar[str] = "entail"
    name: ClassVar[str] = "recorded"
    summary: ClassVar[str] = "entailment answers from the records of another run"

    file: Path

    def build(self, context: BuildContext) -> RecordedEntailer:
        """Reads the file.

        Raises:
            UserError: If it is missing or holds no records.
        """
        entities = read_entities(self.file, context.base)
        return RecordedEntailer(
            EntityRecordings(self.stage, "entailment", lambda entity: entity.entailment, entities)
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        return recorded_digest(self.file, base)


class RecordedEntailer:
    """Looks answers up by sample and entity id; each keeps its ``source``."""

    def __init__(self, recordings: EntityRecordings[Entailment]) -> None:
        self._recordings = recordings

    def entail(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[Entailment]]:
        """The recorded answers."""
        return self._recordings.find(mentions)
