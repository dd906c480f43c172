"""The oracle tagger: the annotated entities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.protocols import AnswerOrIssue, Tagger
from riveg.stages.oracle import no_gold
from riveg.types import Entity, Gold, Sample


class GoldTaggerConfig(BackendConfig[Tagger]):
    """No settings."""

    stage: ClassVar[str] = "tag"
    name: ClassVar[str] = "gold"
    summary: ClassVar[str] = "oracle: the annotated entities"
    oracle: ClassVar[bool] = True
    code_revision: ClassVar[int] = 2

    def build(self, context: BuildContext) -> GoldTagger:
        return GoldTagger(context.gold)


class GoldTagger:
    """Answers with gold spans, labels and fine labels; nothing is estimated, so without scores."""

    def __init__(self, gold: Mapping[str, Gold]) -> None:
        self._gold = gold

    def tag(self, samples: Sequence[Sample]) -> Sequence[AnswerOrIssue[tuple[Entity, ...]]]:
        """The annotated entities of each sample."""
        return [self._tag(sample) for sample in samples]

    def _tag(self, sample: Sample) -> AnswerOrIssue[tuple[Entity, ...]]:
        annotation = self._gold.get(sample.id)
        if annotation is None:
            return no_gold("tag", None, sample.id)
        return tuple(
            Entity(
                f"e{number}", entity.text, entity.label, entity.span, fine_label=entity.fine_label
            )
            for number, entity in enumerate(annotation.entities)
        )
