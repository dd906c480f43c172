"""What a review has put right and what it has spoilt, from its own records."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from riveg.errors import UserError
from riveg.evaluation.canonical import Relation, Rules, related
from riveg.evaluation.cases import Case, PredictedEntity
from riveg.evaluation.reruns import run_settings
from riveg.llm.endpoint import Endpoint
from riveg.llm.response_cache import Asked, ResponseCache
from riveg.runs.building import ANSWERS
from riveg.types import REVIEW_KINDS, Review, ReviewKind

STAGE = "review"


@dataclass(frozen=True, slots=True)
class ReviewCount:
    """What became of the questions of one kind.

    Args:
        entities: Entities that the review had before it.
        asked: Those that were asked about, and for which there was an answer.
        changed: Of these, what was changed.
        unsure: Of these, answers that leave things as they are.
        fixed: Wrong before and right after; ``None`` where the gold does not tell.
        broken: Right before and wrong after; likewise.
    """

    entities: int
    asked: int
    changed: int
    unsure: int
    fixed: int | None
    broken: int | None

    @property
    def unchanged(self) -> int:
        """Asked about, and left as it was."""
        return self.asked - self.changed

    @property
    def share(self) -> float:
        """Of the entities, those that were asked about, in [0, 100]."""
        return 100 * self.asked / self.entities if self.entities else 0.0


@dataclass(frozen=True, slots=True)
class ReviewCost:
    """What the review's model was asked in all in the run's folder; ``None``: not known.

    Where another stage asks the same model, nobody can tell whose requests they were.
    """

    requests: int | None = None
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    cost: float | None = None
    currency: str | None = None


def undone(entity: PredictedEntity, kinds: Collection[ReviewKind]) -> PredictedEntity:
    """The entity as it would be, had these kinds not been reviewed."""
    for review in entity.reviews or ():
        before = review.before
        if before is None or review.kind not in kinds:
            continue
        if review.kind == "span":
            entity = replace(entity, text=before.text or entity.text, span=before.span)
        elif review.kind == "type":
            label = before.label or entity.label
            entity = replace(entity, label=label, fine_label=before.fine_label)
        else:
            shown = None if before.regions is None else bool(before.regions)
            groundable = entity.entailed if shown is None else shown
            entity = replace(entity, regions=before.regions, groundable=groundable)
    return entity


def rightness(
    case: Case, entity: PredictedEntity, kind: ReviewKind, rules: Rules
) -> tuple[bool, bool]:
    """Whether one kind of an entity was right before it was reviewed, and after.

    It is judged as it stood then: what was reviewed after it is undone.
    """
    later = REVIEW_KINDS[REVIEW_KINDS.index(kind) :]
    before, after = undone(entity, later), undone(entity, later[1:])
    return _is_right(case, before, kind, rules), _is_right(case, after, kind, rules)


def _is_right(case: Case, entity: PredictedEntity, kind: ReviewKind, rules: Rules) -> bool:
    pairs = related(replace(case, predicted=(entity,)), rules)
    return any(_agrees(pair, kind, fine=bool(rules.coarse_of)) for pair in pairs)


def _agrees(pair: Relation, kind: ReviewKind, *, fine: bool) -> bool:
    if kind == "type":
        return pair.label and (pair.fine or not fine)
    return kind == "span" or pair.region


@dataclass(slots=True)
class ReviewTally:
    """Counts second looks, case by case.

    Args:
        rules: What counts as the right place.
        has_boxes: Whether the gold has boxes.
    """

    rules: Rules
    has_boxes: bool
    _entities: int = 0
    _counts: dict[ReviewKind, dict[str, int]] = field(
        default_factory=lambda: {
            kind: dict.fromkeys(("asked", "changed", "unsure", "fixed", "broken"), 0)
            for kind in REVIEW_KINDS
        }
    )

    def add(self, case: Case) -> None:
        """Counts the looks at the entities of one more sample."""
        for entity in case.predicted:
            self._entities += entity.reviews is not None
            for review in entity.reviews or ():
                self._add(case, entity, review)

    def _add(self, case: Case, entity: PredictedEntity, review: Review) -> None:
        counts = self._counts[review.kind]
        counts["asked"] += 1
        counts["unsure"] += review.outcome == "unsure"
        if review.outcome != "changed":
            return
        counts["changed"] += 1
        before, after = rightness(case, entity, review.kind, self.rules)
        counts["fixed"] += after and not before
        counts["broken"] += before and not after

    def counts(self) -> Mapping[str, ReviewCount] | None:
        """By kind; ``None`` where nothing was reviewed."""
        if not self._entities:
            return None
        return {kind: self._count(kind) for kind in REVIEW_KINDS if self._counts[kind]["asked"]}

    def _count(self, kind: ReviewKind) -> ReviewCount:
        asked, changed, unsure, fixed, broken = self._counts[kind].values()
        if kind == "region" and not self.has_boxes:
            return ReviewCount(self._entities, asked, changed, unsure, None, None)
        return ReviewCount(self._entities, asked, changed, unsure, fixed, broken)


def review_cost(folder: Path) -> ReviewCost:
    """What the review of a run has cost, as far as its folder tells."""
    try:
        settings = run_settings(folder)
        endpoint = _only_asked_by_review(settings)
        if endpoint is None:
            return ReviewCost()
        with ResponseCache(folder / ANSWERS) as cache:
            asked = cache.asked()
    except UserError:  # the scores do not depend on it
        return ReviewCost()
    found = next((one for one in asked if one.model == endpoint.asked_as), None)
    return ReviewCost() if found is None else _cost(endpoint, found)


def _only_asked_by_review(settings: Mapping[str, Any]) -> Endpoint | None:
    """The review's model; ``None`` where another stage asks it, too."""
    blocks = {name: block for name, block in settings.items() if isinstance(block, dict)}
    models = blocks.get("llm", {})
    own = models.get(blocks.get(STAGE, {}).get("llm"))
    named = [models.get(block.get("llm")) for name, block in blocks.items() if name != STAGE]
    others = [model.get("model") for model in named if isinstance(model, dict)]
    if not isinstance(own, dict) or own.get("model") in others:
        return None
    try:
        return Endpoint.model_validate(own)
    except ValidationError:
        return None


def _cost(endpoint: Endpoint, asked: Asked) -> ReviewCost:
    prompt, answer, prices = asked.prompt_tokens, asked.answer_tokens, endpoint.prices
    if prices is None or prompt is None or answer is None:
        return ReviewCost(asked.requests, prompt, answer)
    cost = prices.cost(prompt, answer)
    return ReviewCost(asked.requests, prompt, answer, cost, prices.currency)
