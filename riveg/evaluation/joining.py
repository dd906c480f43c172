"""Predictions beside their gold, sample by sample; what has no partner is counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from riveg.errors import UserError
from riveg.evaluation.cases import Case
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.predictions import Answer, Predictions


@dataclass(slots=True)
class Joined:
    """What a join has met so far.

    Args:
        samples: Samples that are scored.
        unanswered: Of these, those that the system did not answer.
        without_prediction: Of these, those that the predictions do not name: all gold is missed.
        without_gold: Predicted samples that have no gold: they are not scored.
    """

    samples: int = 0
    unanswered: int = 0
    without_prediction: int = 0
    without_gold: int = 0


def join(predictions: Predictions, gold: GoldSet, met: Joined) -> Iterator[Case]:
    """A case for each sample of the gold; of a partial run, for each sample that it holds.

    Args:
        predictions: The answers; those without an id are matched by order.
        gold: The annotation.
        met: Filled in on the way; complete when the iterator is exhausted.

    Raises:
        UserError: If an id comes twice, no id has gold, or the numbers do not match by order.
    """
    answers = predictions.answers()
    first = next(answers, None)
    if first is None:
        raise UserError(f"{predictions.name}: holds no predictions")
    if first.sample_id is None:
        yield from _by_order(predictions, gold, met)
        return
    yield from _by_id(predictions, gold, met)


def _by_id(predictions: Predictions, gold: GoldSet, met: Joined) -> Iterator[Case]:
    seen: set[str] = set()
    known = 0
    for answer in predictions.answers():
        sample_id = answer.sample_id or ""
        if sample_id in seen:
            raise UserError(f"{predictions.name}: the sample {sample_id!r} comes twice")
        seen.add(sample_id)
        if sample_id in gold.samples:
            known += 1
            yield _case(sample_id, answer, gold, met)
        elif gold.lists_entities_only:
            met.samples += 1
            yield Case(sample_id, answer.predicted, (), answer.answered, answer.size)
        else:
            met.without_gold += 1
    if not known:
        raise UserError(
            f"{predictions.name}: none of its {len(seen)} samples is in {_gold_name(gold)}, for "
            f"example {next(iter(seen))!r}; give the data and the --split that were predicted"
        )
    if predictions.manifest.get("limit"):
        return
    for sample_id in gold.samples:
        if sample_id not in seen:
            met.samples += 1
            met.without_prediction += not predictions.absent_is_empty
            yield gold.case(sample_id, (), answered=predictions.absent_is_empty)


def _by_order(predictions: Predictions, gold: GoldSet, met: Joined) -> Iterator[Case]:
    answers, expected = 0, len(gold.samples)
    for sample_id, answer in zip_longest(gold.samples, predictions.answers()):
        answers += answer is not None
        if sample_id is not None and answer is not None:
            yield _case(sample_id, answer, gold, met)
    if answers != expected:
        raise UserError(
            f"{predictions.name}: {answers} predictions without ids for the {expected} samples of "
            f"{_gold_name(gold)}; they can only be matched one to one, in order"
        )


def _case(sample_id: str, answer: Answer, gold: GoldSet, met: Joined) -> Case:
    met.samples += 1
    met.unanswered += not answer.answered
    return gold.case(sample_id, answer.predicted, answered=answer.answered, size=answer.size)


def _gold_name(gold: GoldSet) -> str:
    return f"{gold.name} {gold.split}" if gold.split else gold.name
