"""Regions from the records of another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.protocols import Grounder, Mention
from riveg.stages.recordings import (
    find_entity,
    not_recorded,
    read_entities,
    recorded_digest,
    recorded_file,
)
from riveg.types import Entity, Issue, Region


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
        return RecordedGrounder(read_entities(recorded_file(self.file, context.base)))

    def contents(self, base: Path) -> Mapping[str, str]:
        return recorded_digest(self.file, base)


class RecordedGrounder:
    """Looks regions up by sample and entity id, masks included; ``()`` was an answer too."""

    def __init__(self, recorded: Mapping[str, Mapping[str, Entity]]) -> None:
        self._recorded = recorded

    def ground(self, mentions: Sequence[Mention]) -> Sequence[tuple[Region, ...] | Issue]:
        """The recorded regions."""
        return [self._ground(mention) for mention in mentions]

    def _ground(self, mention: Mention) -> tuple[Region, ...] | Issue:
        found = find_entity(self._recorded, mention, "ground")
        if isinstance(found, Issue):
            return found
        if found.regions is None:
            return not_recorded("ground", found.id, "the recorded entity has no regions")
        return found.regions
