"""How UnCo and SAKE count: one gold row a box, sets, tweets without an answer left out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Set
from dataclasses import dataclass
from functools import partial

from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.counts import NOTHING, Count
from riveg.evaluation.protocols.protocol import Protocol
from riveg.evaluation.protocols.spans import known_span
from riveg.geometry.boxes import box_iou
from riveg.types import Box

LEAST_IOU = 0.5
METRICS = ("mner", "eeg", "gmner")
NOWHERE, WRONG_BOX, NOT_ANSWERED = -1, -100, -2
"""In the place of a gold row's number: no box, a box of no gold row, no answer."""

Key = Callable[[Case, PredictedEntity | AnnotatedEntity], Hashable]
"""What an entity is known by, beside its type."""


@dataclass(frozen=True, slots=True)
class _Row:
    """An entity's key and type, with the number of a gold row."""

    key: Hashable
    label: str
    number: int


@dataclass(frozen=True, slots=True)
class _GoldBox:
    key: Hashable
    number: int
    box: Box


def score(case: Case, key: Key) -> Mapping[str, Count]:
    """Counts as the evaluators of UnCo and SAKE do."""
    gold, boxes = _gold_rows(case, key)
    predicted = {
        _Row(key(case, entity), entity.label, _number(entity, key(case, entity), boxes))
        for entity in case.predicted
    }
    mner = _count({_kind(row) for row in predicted}, {_kind(row) for row in gold})
    if not predicted or not gold:
        # The program passes such a tweet on as empty on both sides.
        return {"mner": mner, "eeg": NOTHING, "gmner": NOTHING}
    untyped, wanted = (
        {_Row(row.key, "", row.number) for row in rows} for rows in (predicted, gold)
    )
    return {"mner": mner, "eeg": _placed(untyped, wanted), "gmner": _placed(predicted, gold)}


def _gold_rows(case: Case, key: Key) -> tuple[set[_Row], list[_GoldBox]]:
    """A row for each gold box, numbered, and one for each entity without a box."""
    rows: set[_Row] = set()
    boxes: list[_GoldBox] = []
    for entity in case.gold:
        own = key(case, entity)
        if not entity.boxes:
            rows.add(_Row(own, entity.label, NOWHERE))
        for box in entity.boxes or ():
            rows.add(_Row(own, entity.label, len(boxes)))
            boxes.append(_GoldBox(own, len(boxes), box))
    return rows, boxes


def _number(predicted: PredictedEntity, key: Hashable, boxes: list[_GoldBox]) -> int:
    """The first gold row of the same words that has the predicted box."""
    if predicted.regions is None:
        return NOT_ANSWERED
    if not predicted.regions:
        return NOWHERE
    said = predicted.regions[0].box
    near = (one.number for one in boxes if one.key == key and box_iou(said, one.box) >= LEAST_IOU)
    return next(near, WRONG_BOX)


def _kind(row: _Row) -> tuple[Hashable, str]:
    return row.key, row.label


def _placed(predicted: Set[_Row], gold: Set[_Row]) -> Count:
    """The counts of rows; words and type that are right with a wrong box are wrong twice."""
    kinds = {_kind(row) for row in gold}
    twice = sum(row.number == WRONG_BOX and _kind(row) in kinds for row in predicted)
    count = _count(predicted, gold)
    return Count(count.hits, count.predicted + twice, count.gold)


def _count(predicted: Set[Hashable], gold: Set[Hashable]) -> Count:
    return Count(len(predicted & gold), len(predicted), len(gold))


def _words(_case: Case, entity: PredictedEntity | AnnotatedEntity) -> Hashable:
    return entity.text


def _tokens(case: Case, entity: PredictedEntity | AnnotatedEntity) -> Hashable:
    return known_span(case, entity, UNCO_NAME)


_NOTES = (
    "each gold box is a gold entity of its own: one predicted box cannot find two",
    "repeated answers count once",
    "the right words and type with a wrong box count twice as predicted",
    "EEG and GMNER leave out samples without a prediction, and samples without gold",
)

UNCO_NAME = "sysu-unco"

SYSU_UNCO = Protocol(
    name=UNCO_NAME,
    summary="token spans, a gold row a box, no empty sample, IoU >= 0.5",
    metrics=METRICS,
    build=lambda: partial(score, key=_tokens),
    notes=_NOTES,
)

SYSU_SAKE = Protocol(
    name="sysu-sake",
    summary="strings, a gold row a box, no empty sample, IoU >= 0.5",
    metrics=METRICS,
    build=lambda: partial(score, key=_words),
    notes=("entities are compared as strings: the right words at the wrong place count", *_NOTES),
)
