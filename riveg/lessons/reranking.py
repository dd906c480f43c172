"""``rerank: chat``: an entity becomes one request, its type among candidates the answer.

GEM's set for instruction tuning: of K candidates one is the gold type, K - 2 stand below the same
coarse type, and one below another; their order is shuffled. Where a coarse type has too few, more
are taken from the others.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from riveg.config.backend import BuildContext
from riveg.errors import UserError
from riveg.labels import Levels
from riveg.lessons.questions import (
    Question,
    Unusable,
    annotated_entities,
    require_label,
    same_answer,
)
from riveg.protocols import Mention
from riveg.stages.rerankers.chat import ChatReranker, ChatRerankerConfig
from riveg.types import Entity, Gold, GoldEntity, Sample


class Reranking:
    """The lesson.

    Args:
        backend: The stage's; it asks about every entity that has candidates.
        levels: The label set.
        candidates: How many types are offered.
        seed: Of the candidates.
    """

    boxes = None
    needs_image = False

    def __init__(
        self, backend: ChatReranker, levels: Levels, *, candidates: int, seed: int
    ) -> None:
        self.backend = backend
        self._levels = levels
        self._most = candidates
        self._seed = seed
        self._filled = 0

    @classmethod
    def of(cls, config: ChatRerankerConfig, context: BuildContext, seed: int) -> Reranking:
        """From what a system says of the stage; whatever its gamma, all is asked."""
        backend = config.model_copy(update={"gamma": 0.0}).build(context)
        levels = {label.name: label.fine for label in context.labels}
        return cls(backend, levels, candidates=config.candidates, seed=seed)

    def questions(self, sample: Sample, gold: Gold) -> Iterator[Question | Unusable]:
        found = self.asked(sample, gold)
        for annotated, entity in zip(gold.entities, found.entities or (), strict=True):
            right = self.right(sample, annotated)
            (prepared,) = self.backend.prepare([Mention(found, entity)])
            self._filled += self._is_filled(annotated)
            text = json.dumps({"label": right}, ensure_ascii=False)
            yield Question(prepared.request, partial(same_answer, text), (entity.id,))

    def asked(self, sample: Sample, gold: Gold) -> Sample:
        """The gold entities, each with candidates as a tagger that is unsure would give them."""
        entities = zip(gold.entities, annotated_entities(sample, gold), strict=True)
        return replace(
            sample,
            entities=tuple(
                self._with_candidates(sample, annotated, entity) for annotated, entity in entities
            ),
        )

    def remarks(self) -> Sequence[str]:
        if not self._filled:
            return ()
        return (
            f"{self._filled} questions have candidates of more other coarse types than one, since "
            "theirs has too few below it",
        )

    def right(self, sample: Sample, annotated: GoldEntity) -> str:
        """The gold type, on the level that is decided.

        Raises:
            UserError: If it is none of the labels.
        """
        require_label(sample, annotated, tuple(self._levels))
        if not any(self._levels.values()):
            return annotated.label
        if annotated.fine_label not in self._levels[annotated.label]:
            raise UserError(
                f"labels: {sample.id!r:.80} has an entity of the fine type "
                f"{annotated.fine_label!r:.60}, which does not stand below {annotated.label}"
            )
        return str(annotated.fine_label)

    def said(self, entity: Entity) -> str | None:
        """The type of an entity on that level."""
        return entity.fine_label if any(self._levels.values()) else entity.label

    def _same(self, annotated: GoldEntity) -> list[str]:
        """The other fine types below the entity's coarse one."""
        return [one for one in self._levels[annotated.label] if one != annotated.fine_label]

    def _is_filled(self, annotated: GoldEntity) -> bool:
        return any(self._levels.values()) and len(self._same(annotated)) < self._most - 2

    def _with_candidates(self, sample: Sample, annotated: GoldEntity, entity: Entity) -> Entity:
        chance = random.Random(f"{self._seed}/{sample.id}/{entity.id}")
        right = self.right(sample, annotated)
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
