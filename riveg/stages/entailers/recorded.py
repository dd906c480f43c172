"""Entailment answers from the records of another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.protocols import Entailer, Mention
from riveg.stages.recordings import (
    find_entity,
    not_recorded,
    read_entities,
    recorded_digest,
    recorded_file,
)
from riveg.types import Entailment, Entity, Issue


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
        return RecordedEntailer(read_entities(recorded_file(self.file, context.base)))

    def contents(self, base: Path) -> Mapping[str, str]:
        return recorded_digest(self.file, base)


class RecordedEntailer:
    """Looks answers up by sample and entity id; ``source`` stays the first answerer's."""

    def __init__(self, recorded: Mapping[str, Mapping[str, Entity]]) -> None:
        self._recorded = recorded

    def entail(self, mentions: Sequence[Mention]) -> Sequence[Entailment | Issue]:
        """The recorded answers."""
        return [self._entail(mention) for mention in mentions]

    def _entail(self, mention: Mention) -> Entailment | Issue:
        found = find_entity(self._recorded, mention, "entail")
        if isinstance(found, Issue):
            return found
        if found.entailment is None:
            return not_recorded("entail", found.id, "the recorded entity has no entailment")
        return found.entailment
