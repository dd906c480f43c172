"""The canonical scorer: offsets, original pixels, the best region only, an optimal matching."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple

from riveg.datasets.dataset import quoted
from riveg.errors import UserError
from riveg.evaluation.candidates import Candidates
from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.counts import Count
from riveg.evaluation.matching import maximum_matching
from riveg.geometry.boxes import box_iou
from riveg.geometry.masks import mask_iou, mask_union


class MasksDiffer(UserError):
    """Raised where masks to be compared are not of pictures of one size."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as the right place.

    Args:
        iou: Least intersection over union of boxes, in [0, 1].
        strict: Whether the IoU must exceed the bounds, not only reach them.
        mask_iou: Least intersection over union of masks, in [0, 1].
        masks: What a mask is compared with: ``any`` of the gold masks, or their ``union``.
        coarse_of: Fine label -> label; empty where fine labels are not compared.
    """

    iou: float = 0.5
    strict: bool = False
    mask_iou: float = 0.5
    masks: Literal["any", "union"] = "any"
    coarse_of: Mapping[str, str] = field(default_factory=dict)

    def box_enough(self, iou: float) -> bool:
        """Whether boxes of this IoU count as the same place."""
        return iou > self.iou if self.strict else iou >= self.iou

    def mask_enough(self, iou: float) -> bool:
        """Whether masks of this IoU count as the same pixels."""
        return iou > self.mask_iou if self.strict else iou >= self.mask_iou


@dataclass(frozen=True, slots=True)
class Relation:
    """A predicted and a gold entity with the same words, and what else they agree in.

    ``iou``: of the best region with the gold box that it overlaps most; ``None`` without a box on
    either side.
    """

    predicted: int
    gold: int
    label: bool
    fine: bool
    groundable: bool
    region: bool
    shown: bool
    iou: float | None


def related(case: Case, rules: Rules) -> Iterator[Relation]:
    """Pairs with the same words: the same span where both have one, else the same text.

    Texts are the same where only their blanks differ. Of entities that are alike in all that counts
    no more are paired than can have partners, so that a system that says one entity a thousand
    times costs little: whatever pairs are asked for, as many can be chosen as of all pairs.
    """
    candidates = Candidates(case)
    facts: dict[tuple[int, int], _Facts] = {}
    seen: Counter[tuple[Hashable, int]] = Counter()
    for index, predicted in enumerate(case.predicted):
        group, found = candidates.of(predicted)
        kind = candidates.predicted_kinds[index]
        before = seen[group, kind]
        seen[group, kind] += 1
        if before >= len(found):  # those before, being alike, can have all of these
            continue
        if candidates.is_uniform(group):
            found = found[before : before + 1]
        for gold in found:
            both = kind, candidates.gold_kinds[gold]
            if both not in facts:
                facts[both] = _facts(predicted, case.gold[gold], rules)
            yield Relation(index, gold, *facts[both])


class _Facts(NamedTuple):
    """What a pair agrees in; as :class:`Relation`."""

    label: bool
    fine: bool
    groundable: bool
    region: bool
    shown: bool
    iou: float | None


def _facts(predicted: PredictedEntity, gold: AnnotatedEntity, rules: Rules) -> _Facts:
    iou = region_iou(predicted, gold)
    if predicted.regions is None:
        region = False
    elif predicted.regions and gold.boxes:
        region = iou is not None and rules.box_enough(iou)
    else:
        region = not predicted.regions and not gold.boxes
    return _Facts(
        label=predicted.label == gold.label,
        fine=predicted.fine_label is not None and predicted.fine_label == gold.fine_label,
        groundable=predicted.groundable is is_shown(gold),
        region=region,
        shown=is_shown(gold),
        iou=iou,
    )


def is_shown(gold: AnnotatedEntity) -> bool:
    """Whether the gold says that the image shows the entity."""
    return bool(gold.boxes or gold.masks)


def region_iou(predicted: PredictedEntity, gold: AnnotatedEntity) -> float | None:
    """IoU in [0, 1] of the best region's box with the gold box that it overlaps most."""
    if not predicted.regions or not gold.boxes:
        return None
    return max(box_iou(predicted.regions[0].box, box) for box in gold.boxes)


def mask_overlap(case: Case, pair: Relation, rules: Rules) -> float | None:
    """IoU in [0, 1] of the best region's mask with gold; ``None`` without a mask on either side.

    Raises:
        MasksDiffer: If the masks differ in size.
    """
    predicted, gold = case.predicted[pair.predicted], case.gold[pair.gold]
    mask = predicted.regions[0].mask if predicted.regions else None
    if mask is None or not gold.masks:
        return None
    try:
        wanted = gold.masks if rules.masks == "any" else (mask_union(gold.masks),)
        return max(mask_iou(mask, other) for other in wanted)
    except ValueError as error:
        raise MasksDiffer(
            f"{quoted(case.id)}: {quoted(predicted.text)}: {error}; score masks of the same "
            "pictures"
        ) from error


def is_mask_right(case: Case, pair: Relation, rules: Rules) -> bool:
    """SMNER's rule: the right pixels, or rightly no region; a missing answer is never right.

    Raises:
        MasksDiffer: If masks differ in size.
    """
    predicted, gold = case.predicted[pair.predicted], case.gold[pair.gold]
    if predicted.regions is None:
        return False
    if not predicted.regions or not gold.masks:
        return not predicted.regions and not gold.masks
    overlap = mask_overlap(case, pair, rules)
    return overlap is not None and rules.mask_enough(overlap)


Agreement = Callable[[Relation], bool]

AGREEMENTS: Mapping[str, Agreement] = {
    "span": lambda _: True,
    "mner": lambda pair: pair.label,
    "eeg": lambda pair: pair.region,
    "gmner": lambda pair: pair.label and pair.region,
    "grounded": lambda pair: pair.label and pair.region and pair.shown,
    "never_ground": lambda pair: pair.label and not pair.shown,
    "perfect_boxes": lambda pair: pair.label and pair.groundable,
    "fmner": lambda pair: pair.fine,
    "fmnerg": lambda pair: pair.fine and pair.region,
}
"""What must agree, beside the words, for a hit.

``grounded``: GMNER of entities that are, or that the system says are, in the image;
``never_ground``: the score of the same tags if no entity were grounded; ``perfect_boxes``: the
score if every box were right where the system rightly says that there is one.
"""

TEXT_METRICS = ("span", "mner")
REGION_METRICS = ("eeg", "gmner", "grounded", "never_ground", "perfect_boxes")
FINE_OF: Mapping[str, str] = {"mner": "fmner", "gmner": "fmnerg"}
"""A metric of coarse labels -> the same of fine ones."""


def fine_metrics(*, boxes: bool) -> tuple[str, ...]:
    """The metrics of fine labels; those of places too where the gold has boxes."""
    return tuple(fine for name, fine in FINE_OF.items() if boxes or name in TEXT_METRICS)


def canonical(
    rules: Rules | None = None, *, boxes: bool = True, masks: bool = False
) -> CanonicalScorer:
    """The canonical scorer.

    Args:
        rules: What counts as the right place. With ``coarse_of``, fine labels are scored
            (``fmner``, ``fmnerg``) beside the coarse ones (everything else).
        boxes: Whether the gold has boxes.
        masks: Whether the gold has masks.
    """
    rules = rules or Rules()
    metrics = [*TEXT_METRICS, *(REGION_METRICS if boxes else ())]
    if rules.coarse_of:
        metrics += fine_metrics(boxes=boxes)
    return CanonicalScorer(rules, {name: AGREEMENTS[name] for name in metrics}, masks)


@dataclass(frozen=True, slots=True)
class CanonicalScorer:
    """Counts the hits of a sample, metric by metric; made by :func:`canonical`."""

    rules: Rules
    agreements: Mapping[str, Agreement]
    masks: bool

    def __call__(self, case: Case) -> Mapping[str, Count]:
        """Counts by metric; they add up over samples."""
        return self.counts(case, list(related(case, self.rules)))

    def counts(self, case: Case, pairs: Sequence[Relation]) -> Mapping[str, Count]:
        """The same, from pairs that :func:`related` has found."""
        sizes = len(case.predicted), len(case.gold)
        # In most samples no entity is in two pairs: then each pair that agrees is a hit.
        is_plain = is_one_to_one(pairs)
        counts = {
            name: Count(
                sum(map(agrees, pairs)) if is_plain else _hits(pairs, agrees, sizes[0]), *sizes
            )
            for name, agrees in self.agreements.items()
        }
        if "grounded" in counts:
            groundable = sum(1 for entity in case.predicted if entity.groundable)
            shown = sum(map(is_shown, case.gold))
            counts["grounded"] = Count(counts["grounded"].hits, groundable, shown)
        if self.masks:
            agrees = partial(_is_smner, case, self.rules)
            counts["smner"] = Count(_hits(pairs, agrees, sizes[0]), *sizes)
        return counts


def _is_smner(case: Case, rules: Rules, pair: Relation) -> bool:
    return pair.label and is_mask_right(case, pair, rules)


def _hits(pairs: Sequence[Relation], agrees: Agreement, predicted: int) -> int:
    return len(matched([pair for pair in pairs if agrees(pair)], predicted))


def matched(pairs: Sequence[Relation], predicted: int) -> Sequence[Relation]:
    """As many of these pairs as possible, with each entity in one of them at most."""
    if is_one_to_one(pairs):
        return pairs
    partners = pair_up(pairs, predicted)
    return [pair for pair in pairs if partners[pair.predicted] == pair.gold]


def is_one_to_one(pairs: Sequence[Relation]) -> bool:
    """Whether no entity is in two of the pairs."""
    number = len(pairs)
    return number < 2 or (
        len({pair.gold for pair in pairs}) == number
        and len({pair.predicted for pair in pairs}) == number
    )


def pair_up(pairs: Sequence[Relation], predicted: int) -> list[int | None]:
    """A maximum matching over these pairs: for each predicted entity its gold entity."""
    edges: list[list[int]] = [[] for _ in range(predicted)]
    for pair in pairs:
        edges[pair.predicted].append(pair.gold)
    return maximum_matching(edges)
