"""What became of each entity, and which stage is to blame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from riveg.evaluation.canonical import Relation, Rules, matched, region_iou, related
from riveg.evaluation.cases import AnnotatedEntity, Case, Detail, PredictedEntity
from riveg.evaluation.reviewing import STAGE as REVIEW
from riveg.evaluation.reviewing import rightness
from riveg.types import ReviewKind

WRONG_FINE_TYPE = "wrong-fine-type"

VERDICTS = (
    "right",
    "wrong-type",
    WRONG_FINE_TYPE,
    "wrongly-grounded",
    "wrongly-ungrounded",
    "box-off",
    "wrong-span",
    "spurious",
    "missed",
    "unanswered",
)
"""All verdicts.

``wrong-fine-type``: all but the fine label is right, where fine labels are compared;
``wrong-span``: overlaps a gold entity, or has its words at another span; ``spurious``: neither;
``missed``: a gold entity without a predicted one; ``unanswered``: words and type are right and no
stage has answered where, or the system did not answer the sample.
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one entity.

    Args:
        kind: One of :data:`VERDICTS`.
        predicted: Its index in ``Case.predicted``; ``None`` where nothing was predicted.
        gold: Its index in ``Case.gold``; ``None`` where there is none.
        stage: The first stage that went wrong; ``None`` where nothing did.
        iou: Of the best region with the gold box that it overlaps most, where there are both.
    """

    kind: str
    predicted: int | None
    gold: int | None
    stage: str | None
    iou: float | None = None


def verdicts(
    case: Case,
    rules: Rules | None = None,
    stages: Sequence[str] = ("tag", "entail", "ground"),
    *,
    detail: Detail = "regions",
) -> tuple[Verdict, ...]:
    """One verdict for each predicted entity, in their order, then for each missed gold entity.

    The number of ``right`` verdicts is the number of GMNER hits of the canonical scorer, or of MNER
    hits where places do not count or the gold has no places, or the hits of ``perfect_boxes`` where
    only groundability counts. Where fine labels are compared, ``wrong-fine-type`` is among these.

    Args:
        case: The sample.
        rules: What counts as the right place, and whether fine labels are compared.
        stages: The stages that the system ran: blame falls on one of them.
        detail: What counts: words and types alone (``tags``), also whether the image shows an
            entity (``groundability``), also where.
    """
    rules = rules or Rules()
    pairs = list(related(case, rules))
    partners = align(case, pairs)
    by_pair = {(pair.predicted, pair.gold): pair for pair in pairs}
    found = [
        _verdict(
            case,
            index,
            gold,
            by_pair.get((index, -1 if gold is None else gold)),
            stages,
            detail,
            fine=bool(rules.coarse_of),
        )
        for index, gold in enumerate(partners)
    ]
    found = [_with_review(case, verdict, rules) for verdict in found]
    taken = set(partners)
    missed = [gold for gold in range(len(case.gold)) if gold not in taken]
    kind = "missed" if case.answered else "unanswered"
    return (*found, *(Verdict(kind, None, gold, _finder(stages)) for gold in missed))


_LOOKS: Mapping[str, ReviewKind] = {
    "spurious": "span",
    "wrong-span": "span",
    "wrong-type": "type",
    WRONG_FINE_TYPE: "type",
    "wrongly-grounded": "region",
    "wrongly-ungrounded": "region",
    "box-off": "region",
}
"""What a review has changed where it is to blame for a verdict."""


def _with_review(case: Case, verdict: Verdict, rules: Rules) -> Verdict:
    """The verdict, blamed on the review where it spoilt what was right before."""
    kind = _LOOKS.get(verdict.kind)
    if kind is None or verdict.predicted is None:
        return verdict
    entity = case.predicted[verdict.predicted]
    if not any(one.kind == kind and one.before is not None for one in entity.reviews or ()):
        return verdict
    before, after = rightness(case, entity, kind, rules)
    return replace(verdict, stage=REVIEW) if before and not after else verdict


_CLOSENESS: tuple[Callable[[Relation], bool], ...] = (
    lambda pair: pair.label and pair.region,
    lambda pair: pair.label,
    lambda pair: pair.region,
    lambda _: True,
)
"""Pairs that agree in more come first; each round makes as many pairs as possible."""


def align(case: Case, pairs: Sequence[Relation]) -> list[int | None]:
    """For each predicted entity the gold entity that it is compared with, each at most once.

    GMNER hits come first, as many as possible; then pairs with the same words and type, the same
    words and place, the same words; then spans that overlap, or the same words at another span.
    """
    partners: list[int | None] = [None] * len(case.predicted)
    taken: set[int] = set()
    waiting = list(pairs)
    for is_close in _CLOSENESS:
        for pair in matched([pair for pair in waiting if is_close(pair)], len(partners)):
            partners[pair.predicted] = pair.gold
            taken.add(pair.gold)
        waiting = [
            pair for pair in waiting if partners[pair.predicted] is None and pair.gold not in taken
        ]
        if not waiting:
            break
    _align_near(case, partners)
    return partners


def _align_near(case: Case, partners: list[int | None]) -> None:
    taken = set(partners)
    free = [gold for gold in range(len(case.gold)) if gold not in taken]
    texts = Counter(case.gold[gold].text for gold in free)
    spans = [span for gold in free if (span := case.gold[gold].span) is not None]
    first = min((span.start for span in spans), default=0)
    last = max((span.end for span in spans), default=0)
    for index, predicted in enumerate(case.predicted):
        if not free:
            return
        span = predicted.span
        may_overlap = span is not None and span.start < last and first < span.end
        if partners[index] is not None or not (may_overlap or texts[predicted.text]):
            continue
        near = [gold for gold in free if _is_near(predicted, case.gold[gold])]
        if near:
            best = max(near, key=lambda gold: _shared_tokens(predicted, case.gold[gold]))
            partners[index] = best
            free.remove(best)
            texts[case.gold[best].text] -= 1


def _is_near(predicted: PredictedEntity, gold: AnnotatedEntity) -> bool:
    return predicted.text == gold.text or _shared_tokens(predicted, gold) > 0


def _shared_tokens(predicted: PredictedEntity, gold: AnnotatedEntity) -> int:
    if predicted.span is None or gold.span is None:
        return 0
    return min(predicted.span.end, gold.span.end) - max(predicted.span.start, gold.span.start)


def _verdict(
    case: Case,
    index: int,
    gold: int | None,
    pair: Relation | None,
    stages: Sequence[str],
    detail: Detail,
    *,
    fine: bool,
) -> Verdict:
    predicted = case.predicted[index]
    if gold is None:
        return Verdict("spurious", index, None, _finder(stages))
    if pair is None:
        iou = region_iou(predicted, case.gold[gold])
        return Verdict("wrong-span", index, gold, _finder(stages), iou)
    is_placed = case.gold[gold].boxes is not None or case.gold[gold].masks is not None
    faults = _faults(pair, predicted, stages, detail if is_placed else "tags")
    if fine and not pair.fine:
        faults = chain(faults, [(WRONG_FINE_TYPE, _typer(stages))])
    kind, stage = next(faults, ("right", None))
    return Verdict(kind, index, gold, stage, pair.iou)


def _faults(
    pair: Relation, predicted: PredictedEntity, stages: Sequence[str], detail: Detail
) -> Iterator[tuple[str, str]]:
    """The mistakes of an entity with the right words, with the stage at fault of each, in order."""
    if not pair.label:
        yield "wrong-type", _typer(stages)
    if detail == "tags":
        return
    if detail == "groundability" or predicted.regions is None:
        # Some systems say only whether there is a place, and this alone may be wrong.
        if predicted.groundable is not None and not pair.groundable:
            yield "wrongly-ungrounded" if pair.shown else "wrongly-grounded", _gate(stages)
        elif predicted.groundable is None or detail == "regions":
            yield "unanswered", _first(("ground", "extract", "entail", "tag"), stages)
    elif predicted.regions and not pair.shown:
        yield "wrongly-grounded", _gate(stages)
    elif not predicted.regions and pair.shown:
        gate_passed = predicted.entailed is True
        yield "wrongly-ungrounded", _place(stages) if gate_passed else _gate(stages)
    elif not pair.region:
        yield "box-off", _place(stages)


def _finder(stages: Sequence[str]) -> str:
    return _first(("tag", "extract"), stages)


def _typer(stages: Sequence[str]) -> str:
    return _first(("rerank", "tag", "extract"), stages)


def _gate(stages: Sequence[str]) -> str:
    return _first(("entail", "ground", "extract"), stages)


def _place(stages: Sequence[str]) -> str:
    return _first(("ground", "extract"), stages)


def _first(wanted: Sequence[str], stages: Sequence[str]) -> str:
    return next((stage for stage in wanted if stage in stages), wanted[0])
