"""Knowledge texts from a file: another run's records, or knowledge that somebody published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.formats.knowledge import KnowledgeText, read_knowledge
from riveg.formats.knowledge_runs import knowledge_run
from riveg.protocols import AnswerOrIssue, Augmenter
from riveg.stages.recordings import add_once, not_recorded, recorded_digest, recorded_file
from riveg.types import Sample


class RecordedAugmenterConfig(BackendConfig[Augmenter]):
    """``file``: a run folder or its ``records.jsonl``; PGIM's form; JSON lines with ``knowledge``.

    These are the files that ``riveg train crf-tagger`` learns knowledge from.
    """

    stage: ClassVar[str] = "augment"
    name: ClassVar[str] = "recorded"
    summary: ClassVar[str] = "knowledge from a file, or from the records of another run"

    file: Path

    def build(self, context: BuildContext) -> RecordedAugmenter:
        """Reads the file.

        Raises:
            UserError: If it is missing or malformed, belongs to a run that has not come to its end
                or gave no knowledge, or says two things of one id.
        """
        return RecordedAugmenter(read_knowledge(recorded_file(self.file, context.base)))

    def contents(self, base: Path) -> Mapping[str, str]:
        return recorded_digest(self.file, base)

    def origin(self, base: Path, fingerprint: str) -> str:
        """That of the run whose knowledge it is, where the file is of one."""
        run = knowledge_run(base / self.file)
        return fingerprint if run is None else run.fingerprint


class RecordedAugmenter:
    """Looks knowledge up by the sample's id and, where the file has no ids, by its words.

    Where the file has several texts about the same words, the first is given, as in training.
    """

    def __init__(self, knowledge: Iterable[KnowledgeText]) -> None:
        self._by_id: dict[str, KnowledgeText] = {}
        self._by_words: dict[tuple[str, ...] | str | None, KnowledgeText] = {}
        for one in knowledge:
            if one.sample_id is not None:
                add_once(self._by_id, one.sample_id, one, one.place)
            else:
                self._by_words.setdefault(one.text if one.tokens is None else one.tokens, one)

    def augment(self, samples: Sequence[Sample]) -> Sequence[AnswerOrIssue[str]]:
        """The recorded texts."""
        return [self._augment(sample) for sample in samples]

    def _augment(self, sample: Sample) -> AnswerOrIssue[str]:
        by_words = self._by_words.get(sample.tokens) or self._by_words.get(sample.text)
        found = self._by_id.get(sample.id) or by_words
        if found is None or not found.knowledge:
            return not_recorded("augment", None, f"no knowledge for sample {sample.id!r}")
        if not found.is_about(sample):
            return not_recorded("augment", None, f"{found.place}: {sample.id!r} has another text")
        return found.knowledge
