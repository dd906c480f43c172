"""Knowledge texts from the records of another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.protocols import AnswerOrIssue, Augmenter
from riveg.stages.recordings import not_recorded, read_recorded, recorded_digest, recorded_file
from riveg.types import Sample


class RecordedAugmenterConfig(BackendConfig[Augmenter]):
    """``file``: a run's ``records.jsonl``, or the run folder."""

    stage: ClassVar[str] = "augment"
    name: ClassVar[str] = "recorded"
    summary: ClassVar[str] = "knowledge from the records of another run"

    file: Path

    def build(self, context: BuildContext) -> RecordedAugmenter:
        """Reads the file.

        Raises:
            UserError: If it is missing or holds no records.
        """
        path = recorded_file(self.file, context.base)
        return RecordedAugmenter(read_recorded(path, lambda sample: sample.knowledge))

    def contents(self, base: Path) -> Mapping[str, str]:
        return recorded_digest(self.file, base)


class RecordedAugmenter:
    """Looks knowledge up by sample id."""

    def __init__(self, knowledge: Mapping[str, str | None]) -> None:
        self._knowledge = knowledge

    def augment(self, samples: Sequence[Sample]) -> Sequence[AnswerOrIssue[str]]:
        """The recorded texts."""
        return [self._augment(sample) for sample in samples]

    def _augment(self, sample: Sample) -> AnswerOrIssue[str]:
        knowledge = self._knowledge.get(sample.id)
        if knowledge is None:
            return not_recorded("augment", None, f"no knowledge for sample {sample.id!r}")
        return knowledge
