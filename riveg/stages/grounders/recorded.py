"""Regions from the records of another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.protocols import AnswerOrIssue, Grounder, Mention
from riveg.stages.recordings import EntityRecordings, read_entities, recorded_digest
from riveg.types import Region


class RecordedGrounderConfig(BackendConfig[Grounder]):
    """``file``: a run's ``records.jsonl``, or the run folder."""

    stage: ClassVar[str] = "ground"
    name: ClassVar[str] = "recorded"
    summary: ClassVar[str] = "regions from the records of another run"

    file: Path

    def build(self, context: BuildContext) -> RecordedGrounder:
        """Reads the file.

        Raises:
            UserError: If it is missing or holds no records.
        """
        entities = read_entities(self.file, context.base)
        return RecordedGrounder(
            EntityRecordings(self.stage, "regions", lambda entity: entity.regions, entities)
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        return recorded_digest(self.file, base)


class RecordedGrounder:
    """Looks regions up by sample and entity id, masks included; ``()`` is an answer too."""

    def __init__(self, recordings: EntityRecordings[tuple[Region, ...]]) -> None:
        self._recordings = recordings

    def ground(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[tuple[Region, ...]]]:
        """The recorded regions."""
        return self._recordings.find(mentions)
