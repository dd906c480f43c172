"""What a reader of scores should know: what is not scored, and what looks wrong."""

from __future__ import annotations

from collections.abc import Iterator, Set

from riveg.datasets.dataset import quoted
from riveg.evaluation.canonical import Relation
from riveg.evaluation.cases import Case
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.joining import JoinCounts
from riveg.evaluation.predictions import Predictions
from riveg.evaluation.protocol_notes import detail_notes
from riveg.text.folding import drop_blanks


def prediction_notes(
    predictions: Predictions, gold: GoldSet, *, fine: bool, said: bool
) -> Iterator[str]:
    """The predictions' own notes, and what they and the gold do not have in common.

    Args:
        predictions: What is scored.
        gold: What it is scored against.
        fine: Whether fine labels are compared.
        said: Whether the predictions have fine labels.
    """
    yield from gold.notes
    yield from predictions.notes
    yield from detail_notes(predictions, gold)
    yield from fine_notes(gold, fine=fine, said=said)
    for key, now in (("data_version", gold.version), ("data", gold.name)):
        before = predictions.manifest.get(key)
        if before is not None and now is not None and before != now:
            yield f"the run was over {key.replace('_', ' ')} {before}, the gold is {now}"


def fine_notes(gold: GoldSet, *, fine: bool, said: bool) -> Iterator[str]:
    """Why fine labels are not compared, where predictions or gold have some."""
    if fine:
        return
    if gold.coarse_of:
        yield "the gold has fine types, the predictions have not: coarse ones are scored"
    elif said:
        yield "the predictions have fine types, the gold has not: coarse ones are scored"


def join_notes(joined: JoinCounts) -> Iterator[str]:
    """What looks wrong when predictions and gold are laid side by side."""
    if joined.without_image:
        yield (
            f"samples that the system saw without an image, and whose gold has boxes or masks: "
            f"{joined.without_image}"
        )
    yield from _elsewhere_note(joined)
    if joined.first_other_tokens is not None:
        sample_id, predicted, annotated = joined.first_other_tokens
        yield (
            f"samples with another number of tokens than the gold: {joined.other_tokens} (first: "
            f"{quoted(sample_id)}, {predicted} for {annotated}); are they cut, or word pieces?"
        )


def _elsewhere_note(joined: JoinCounts) -> Iterator[str]:
    """How many predicted entities are in no way words of the sample that they were joined to."""
    if not joined.elsewhere:
        return
    told = f"{joined.elsewhere} of {joined.compared}"
    if joined.in_other_case:
        told += f" ({joined.in_other_case} of them only for their case)"
    if joined.elsewhere > joined.in_other_case:
        told += "; is each prediction of its own sample?"
    yield f"predicted entities whose words do not stand in their sample's text: {told}"


def unseen_note(seen: Set[str] | None) -> Iterator[str]:
    """A line where slices are scored without those of mentions that were seen or not."""
    if seen is None:
        yield "which mentions were seen is not known: the gold has no split train; see --seen-in"


def lacking_note(number: int) -> Iterator[str]:
    """A line where so many samples of the gold were not predicted and are not counted."""
    if number:
        yield f"samples of the gold that are not predicted, and are left out: {number}"


def is_reworded(case: Case, pair: Relation) -> bool:
    """Whether the same tokens are other words in the prediction than in gold, blanks aside."""
    predicted, annotated = case.predicted[pair.predicted].text, case.gold[pair.gold].text
    return predicted != annotated and drop_blanks(predicted) != drop_blanks(annotated)


def reworded_note(number: int) -> Iterator[str]:
    """A warning where gold entities are other words in the predictions."""
    if number:
        yield (
            f"tokens of a gold entity that are other words in the predictions: {number}; "
            "is the gold of the same text?"
        )
