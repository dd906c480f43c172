"""``rerank: chat``: an entity becomes one request, its type among candidates the answer.

GEM's set for instruction tuning: of K candidates one is the gold type, K - 2 stand below the same
coarse type, and one below another; their order is shuffled. Where a coarse type has too few, more
are taken from the others.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from riveg.config.backend import BuildContext
from riveg.errors import UserError
from riveg.evaluation.counts import Count
from riveg.labels import Levels
from riveg.pipeline import AnyStageRunner, StageRunner
from riveg.protocols import ImageSource, Mention
from riveg.stages.rerankers.chat import ChatReranker
from riveg.stages.table import RERANK
from riveg.training.vlm.questions import (
    ALL,
    Question,
    Unusable,
    annotated_entities,
    require_label,
    same_answer,
)
from riveg.training.vlm.settings import VlmSettings
from riveg.types import Entity, Gold, GoldEntity, Sample

ACCURACY = "accuracy"
"""How often the candidate that is chosen is the gold type, in percent."""


class Reranking:
    """The task.

    Args:
        backend: The stage's; it asks about every entity that has candidates.
        levels: The label set.
        candidates: How many types are offered.
        seed: Of the candidates.
    """

    metric = ACCURACY
    needs_image = False

    def __init__(
        self, backend: ChatReranker, levels: Levels, *, candidates: int, seed: int
    ) -> None:
        self._backend = backend
        self._levels = levels
        self._most = candidates
        self._seed = seed
        self._filled = 0

    @classmethod
    def of(cls, config: VlmSettings, context: BuildContext) -> Reranking:
        """From a configuration with the block ``rerank``; whatever its gamma, all is asked."""
        assert config.rerank is not None
        backend = config.rerank.model_copy(update={"gamma": 0.0}).build(context)
        levels = {label.name: label.fine for label in config.labels}
        count = config.rerank.candidates
        return cls(backend, levels, candidates=count, seed=config.loop.seed)

    def questions(self, sample: Sample, gold: Gold) -> Iterator[Question | Unusable]:
        found = self.asked(sample, gold)
        for annotated, entity in zip(gold.entities, found.entities or (), strict=True):
            right = self._right(sample, annotated)
            (prepared,) = self._backend.prepare([Mention(found, entity)])
            self._filled += self._is_filled(annotated)
            text = json.dumps({"label": right}, ensure_ascii=False)
            yield Question(prepared.request, partial(same_answer, text))

    def asked(self, sample: Sample, gold: Gold) -> Sample:
        """The gold entities, each with candidates as a tagger that is unsure would give them."""
        entities = zip(gold.entities, annotated_entities(sample, gold), strict=True)
        return replace(
            sample,
            entities=tuple(
                self._with_candidates(sample, annotated, entity) for annotated, entity in entities
            ),
        )

    def runner(self, images: ImageSource) -> AnyStageRunner:
        return StageRunner(
            RERANK, self._backend, images, needs_image=True, batch_size=ALL, gated=False
        )

    def counts(self, found: Sample, gold: Gold) -> Mapping[str, Count]:
        said = [self._said(entity) for entity in found.entities or ()]
        failed = {issue.entity_id for issue in found.issues}
        right = [self._right(found, annotated) for annotated in gold.entities]
        hits = sum(
            one == other and entity.id not in failed
            for one, other, entity in zip(said, right, found.entities or (), strict=True)
        )
        return {ACCURACY: Count(hits, len(right), len(right))}

    def remarks(self) -> Sequence[str]:
        if not self._filled:
            return ()
        return (
            f"{self._filled} questions have candidates of more other coarse types than one, since "
            "theirs has too few below it",
        )

    def _right(self, sample: Sample, annotated: GoldEntity) -> str:
        require_label(sample, annotated, tuple(self._levels))
        if not any(self._levels.values()):
            return annotated.label
        if annotated.fine_label not in self._levels[annotated.label]:
            raise UserError(
                f"labels: {sample.id!r:.80} has an entity of the fine type "
                f"{annotated.fine_label!r:.60}, which does not stand below {annotated.label}"
            )
        return str(annotated.fine_label)

    def _said(self, entity: Entity) -> str | None:
        return entity.fine_label if any(self._levels.values()) else entity.label

    def _same(self, annotated: GoldEntity) -> list[str]:
        """The other fine types below the entity's coarse one."""
        return [one for one in self._levels[annotated.label] if one != annotated.fine_label]

    def _is_filled(self, annotated: GoldEntity) -> bool:
        return any(self._levels.values()) and len(self._same(annotated)) < self._most - 2

    def _with_candidates(self, sample: Sample, annotated: GoldEntity, entity: Entity) -> Entity:
        chance = random.Random(f"{self._seed}/{sample.id}/{entity.id}")
        right = self._right(sample, annotated)
        if not any(self._levels.values()):
            others = [one for one in self._levels if one != right]
            chance.shuffle(others)
            chosen = [right, *others[: self._most - 1]]
        else:
            same = self._same(annotated)
            other = [
                fine
                for label, below in self._levels.items()
                for fine in below
                if label != annotated.label
            ]
            chance.shuffle(same)
            chance.shuffle(other)
            near = same[: self._most - 2]
            chosen = [right, *near, *other[: self._most - 1 - len(near)]]
        chance.shuffle(chosen)
        # The stage offers the likeliest first, so that falling numbers keep this order; what the
        # tagger is taken to have said is the first, whichever it is.
        total = len(chosen) * (len(chosen) + 1) / 2
        scores = {one: (len(chosen) - place) / total for place, one in enumerate(chosen)}
        if any(self._levels.values()):
            return replace(entity, fine_label=chosen[0], fine_label_scores=scores)
        return replace(entity, label=chosen[0], label_scores=scores)
