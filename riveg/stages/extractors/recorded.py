"""Entities with their regions from a file: the records of another run, or of predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import UserError
from riveg.protocols import AnswerOrIssue, Extraction, Extractor, PartialAnswer
from riveg.stages.recordings import (
    not_recorded,
    read_recorded,
    recorded_digest,
    recorded_file,
    token_mismatch,
)
from riveg.types import Entity, Issue, Sample


class RecordedExtractorConfig(BackendConfig[Extractor]):
    """``file``: a run's ``records.jsonl``, or the run folder.

    ``None``: nothing is known before ``riveg run SYSTEM --from PREDICTIONS`` names predictions.
    """

    stage: ClassVar[str] = "extract"
    name: ClassVar[str] = "recorded"
    summary: ClassVar[str] = (
        "entities and regions from the records of another run, or --from a file"
    )
    # What it says counts, not where it lies: a run folder with its predictions can be moved.
    immaterial: ClassVar[frozenset[str]] = frozenset({"file"})

    file: Path | None = None

    def build(self, context: BuildContext) -> RecordedExtractor:
        """Reads the file.

        Raises:
            UserError: If it is not named, is missing, or holds no records.
        """
        path = recorded_file(self._named(), context.base)
        return RecordedExtractor(read_recorded(path, _Recording.of))

    def contents(self, base: Path) -> Mapping[str, str]:
        (digest,) = recorded_digest(self._named(), base).values()
        return {"file": digest}

    def _named(self) -> Path:
        if self.file is None:
            raise UserError(
                "extract.file: no predictions are named; say which with --from FILE, or name "
                "records with --set extract.file=FILE"
            )
        return self.file


@dataclass(frozen=True, slots=True)
class _Recording:
    """What a record says: ``entities`` is ``None`` where nobody has answered."""

    tokens: tuple[str, ...]
    entities: tuple[Entity, ...] | None
    reasoning: str | None
    issues: tuple[Issue, ...]

    @classmethod
    def of(cls, sample: Sample) -> _Recording:
        entities = None if sample.entities is None else tuple(map(_without_masks, sample.entities))
        own = tuple(issue for issue in sample.issues if issue.stage == "extract")
        return cls(sample.tokens, entities, sample.reasoning, own)


class RecordedExtractor:
    """Looks entities up by sample id; the tokens must be the sample's.

    Entities are as they are recorded, in their order and with their scores, but without masks:
    these are made anew. One that has no answer about its regions stays, with an Issue.
    """

    def __init__(self, recordings: Mapping[str, _Recording]) -> None:
        self._recordings = recordings

    def extract(self, samples: Sequence[Sample]) -> Sequence[AnswerOrIssue[Extraction]]:
        """The recorded entities and regions, with what the record says that is missing."""
        return [self._extract(sample) for sample in samples]

    def _extract(self, sample: Sample) -> AnswerOrIssue[Extraction]:
        found = self._recordings.get(sample.id)
        if found is None or found.entities is None:
            if found is not None and found.issues:
                return found.issues[0]
            return not_recorded("extract", None, f"no entities for sample {sample.id!r}")
        if found.tokens != sample.tokens:
            return token_mismatch("extract", sample, found.tokens)
        issues = (*found.issues, *_without_regions(found))
        answer = Extraction(found.entities, found.reasoning)
        return PartialAnswer(answer, issues) if issues else answer


def _without_regions(found: _Recording) -> list[Issue]:
    """An Issue for each entity whose regions nobody has told."""
    return [
        not_recorded("extract", None, f"no regions recorded for {one.text!r}: it gets no mask")
        for one in found.entities or ()
        if one.regions is None
    ]


def _without_masks(entity: Entity) -> Entity:
    if entity.regions is None:
        return entity
    return replace(entity, regions=tuple(replace(region, mask=None) for region in entity.regions))
