"""Joins predictions with their gold, sample by sample, and counts what has no partner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from riveg.datasets.first_seen import FirstSeen
from riveg.errors import UserError
from riveg.evaluation.cases import Case, PredictedEntity
from riveg.evaluation.gold import GoldSample, GoldSet
from riveg.evaluation.predictions import Prediction, Predictions
from riveg.text.folding import drop_blanks


@dataclass(slots=True)
class JoinCounts:
    """How many samples a join has seen so far.

    Args:
        samples: Samples that are scored.
        unanswered: Scored samples that the system did not answer.
        without_prediction: Scored samples without a prediction: all their gold is missed.
        without_gold: Predicted samples without gold, which are not scored.
        without_image: Predicted samples without an image whose gold has boxes or masks.
        other_tokens: Samples that the system saw with another number of tokens than the gold has.
        first_other_tokens: The first of them: its id, the system's number and the gold's.
        compared: Predicted entities of samples whose text the gold holds.
        elsewhere: Of these, entities whose words do not stand in that text, blanks aside.
        in_other_case: Of these, entities whose words do where their case is ignored.
    """

    samples: int = 0
    unanswered: int = 0
    without_prediction: int = 0
    without_gold: int = 0
    without_image: int = 0
    other_tokens: int = 0
    first_other_tokens: tuple[str, int, int] | None = None
    compared: int = 0
    elsewhere: int = 0
    in_other_case: int = 0

    def add(self, sample_id: str, prediction: Prediction, gold: GoldSample) -> None:
        """Counts a sample that is predicted and has gold."""
        self.samples += 1
        self.unanswered += not prediction.answered
        is_shown = any(entity.boxes or entity.masks for entity in gold.entities)
        self.without_image += is_shown and not prediction.has_image
        if gold.text is not None:
            self._compare(prediction.predicted, drop_blanks(gold.text))
        seen, annotated = prediction.tokens, gold.tokens
        if not prediction.answered or seen is None or annotated is None or seen == annotated:
            return
        self.other_tokens += 1
        self.first_other_tokens = self.first_other_tokens or (sample_id, seen, annotated)

    def _compare(self, predicted: Sequence[PredictedEntity], text: str) -> None:
        self.compared += len(predicted)
        lost = [words for one in predicted if (words := drop_blanks(one.text)) not in text]
        self.elsewhere += len(lost)
        folded = text.casefold() if lost else ""
        self.in_other_case += sum(words.casefold() in folded for words in lost)


def join(predictions: Predictions, gold: GoldSet, joined: JoinCounts) -> Iterator[Case]:
    """A case for each sample of the gold; of a partial run, for each sample that it holds.

    Args:
        predictions: What the system said; predictions without an id are matched by order.
        gold: The annotation.
        joined: Is filled in; complete once the iterator is exhausted.

    Raises:
        UserError: If an id comes twice, no id has gold, or the numbers do not match by order.
    """
    first = next(predictions.read(), None)
    if first is None:
        raise UserError(f"{predictions.name}: holds no predictions")
    if first.sample_id is None:
        yield from _by_order(predictions, gold, joined)
        return
    with FirstSeen() as seen:
        yield from _by_id(predictions, gold, joined, seen)


def _by_id(
    predictions: Predictions, gold: GoldSet, joined: JoinCounts, seen: FirstSeen
) -> Iterator[Case]:
    first, number, known = "", 0, 0
    for prediction in predictions.read():
        number += 1
        sample_id = prediction.sample_id or ""
        first = first or sample_id
        if seen.place_of(sample_id, "") is not None:
            raise UserError(f"{predictions.name}: the sample {sample_id!r} comes twice")
        if sample_id in gold.samples:
            known += 1
            yield _case(sample_id, prediction, gold, joined)
        elif gold.lists_entities_only:
            joined.samples += 1
            yield Case(sample_id, prediction.predicted, (), prediction.answered, prediction.size)
        else:
            joined.without_gold += 1
    if not known:
        raise none_is_known(predictions, number, first, _gold_name(gold))
    if predictions.manifest.get("limit"):
        return
    for sample_id in gold.samples:
        if seen.place_of(sample_id, "") is None:
            joined.samples += 1
            joined.without_prediction += not predictions.absent_is_empty
            yield gold.case(sample_id, (), answered=predictions.absent_is_empty)


def _by_order(predictions: Predictions, gold: GoldSet, joined: JoinCounts) -> Iterator[Case]:
    number, expected = 0, len(gold.samples)
    for sample_id, prediction in zip_longest(gold.samples, predictions.read()):
        number += prediction is not None
        if sample_id is not None and prediction is not None:
            yield _case(sample_id, prediction, gold, joined)
    if number != expected:
        raise not_one_to_one(predictions, number, expected, _gold_name(gold))


def none_is_known(predictions: Predictions, number: int, example: str, data: str) -> UserError:
    """That no id of the predictions is one of the data."""
    return UserError(
        f"{predictions.name}: none of its {number} samples is in {data}, for example {example!r}; "
        "give the data and the --split that were predicted"
    )


def not_one_to_one(predictions: Predictions, number: int, expected: int, data: str) -> UserError:
    """That predictions without ids are more or fewer than the samples of the data."""
    return UserError(
        f"{predictions.name}: {number} predictions without ids for the {expected} samples of "
        f"{data}; they can only be matched one to one, in order"
    )


def _case(sample_id: str, prediction: Prediction, gold: GoldSet, joined: JoinCounts) -> Case:
    joined.add(sample_id, prediction, gold.samples[sample_id])
    return gold.case(
        sample_id, prediction.predicted, answered=prediction.answered, size=prediction.size
    )


def _gold_name(gold: GoldSet) -> str:
    return f"{gold.name} {gold.split}" if gold.split else gold.name
