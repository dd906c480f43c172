"""RiVEG's counting: words and type as one string, greedy in prediction order, one box."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.counts import Count
from riveg.evaluation.protocols.protocol import Protocol
from riveg.geometry.boxes import box_iou

LEAST_IOU = 0.5


def score(case: Case) -> Mapping[str, Count]:
    """Counts as RiVEG's ``statistic.py`` does, with either of its two keys."""
    return {"eeg": _count(case, _words_before_bracket), "gmner": _count(case, _words_and_type)}


def _words_and_type(entity: PredictedEntity | AnnotatedEntity) -> str:
    return f"{entity.text}({entity.label})"


def _words_before_bracket(entity: PredictedEntity | AnnotatedEntity) -> str:
    return _words_and_type(entity).partition("(")[0]


def _count(case: Case, key: Callable[[PredictedEntity | AnnotatedEntity], str]) -> Count:
    left = [(key(annotated), annotated) for annotated in case.gold]
    for predicted in case.predicted:
        wanted = key(predicted)
        for position, (name, annotated) in enumerate(left):
            if name == wanted and _is_right_place(predicted, annotated):
                del left[position]
                break
    return Count(len(case.gold) - len(left), len(case.predicted), len(case.gold))


def _is_right_place(predicted: PredictedEntity, annotated: AnnotatedEntity) -> bool:
    if predicted.regions is None:  # Flag 2 without a usable box.
        return False
    if not predicted.regions:
        return not annotated.boxes
    box = predicted.regions[0].box
    return any(box_iou(box, other) >= LEAST_IOU for other in annotated.boxes or ())


RIVEG = Protocol(
    name="riveg",
    summary="strings, greedy in prediction order, first box, IoU >= 0.5",
    metrics=("eeg", "gmner"),
    build=lambda: score,
    notes=(
        "entities are compared as strings: the right words at the wrong place count",
        "greedy: an early prediction may take the only gold entity that a later one could have",
        "EEG cuts names at their first bracket and keeps the blank before it",
        "MNER is not computed by the released program",
    ),
)
