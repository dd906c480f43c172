"""What a reader of scores should know: what is not scored, and what looks wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from riveg.evaluation.canonical import Relation
from riveg.evaluation.cases import Case
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.predictions import Predictions

_PROTOCOLS_OF_PLACES = frozenset({"h-index", "tiger", "tiger-inloop"})
"""Protocols that count no prediction of words and type alone."""


def prediction_notes(predictions: Predictions, gold: GoldSet, *, fine: bool) -> Iterator[str]:
    """The predictions' own notes, and what they and the gold do not have in common."""
    yield from predictions.notes
    if predictions.detail == "tags":
        yield "the predictions are tags only: nothing is said of places"
    if predictions.detail == "groundability":
        yield "the predictions tell no boxes: groundability is scored in their place"
    if gold.coarse_of and not fine:
        yield "the gold has fine types, the predictions have not: coarse ones are scored"
    for key, now in (("data_version", gold.version), ("data", gold.name)):
        before = predictions.manifest.get(key)
        if before is not None and now is not None and before != now:
            yield f"the run was over {key.replace('_', ' ')} {before}, the gold is {now}"


def is_reworded(case: Case, pair: Relation) -> bool:
    """Whether the same tokens are other words in the prediction than in gold, blanks aside."""
    predicted, annotated = case.predicted[pair.predicted].text, case.gold[pair.gold].text
    return predicted != annotated and "".join(predicted.split()) != "".join(annotated.split())


def reworded_note(number: int) -> Iterator[str]:
    """A warning where gold entities are other words in the predictions."""
    if number:
        yield (
            f"tokens of a gold entity that are other words in the predictions: {number}; "
            "is the gold of the same text?"
        )


def protocol_notes(
    predictions: Predictions, scores: Mapping[str, object], left_out: Mapping[str, int]
) -> Iterator[str]:
    """What protocols do not score.

    Args:
        predictions: What is scored.
        scores: By protocol, the scores; empty where none can be given.
        left_out: By protocol, for all but the canonical one, how many samples it leaves out.
    """
    for name, kept in scores.items():
        if not kept:
            yield f"protocol {name} counts nothing that both predictions and gold tell"
    for name, number in left_out.items():
        if number:
            yield f"protocol {name} leaves {number} of the samples out"
    for name in left_out:
        if predictions.detail == "tags" and name in _PROTOCOLS_OF_PLACES:
            yield f"to protocol {name} an entity without a place is no answer"
