"""What a reader should know of what is scored: which metrics, under which protocols, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from riveg.datasets.dataset import quoted
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.predictions import Predictions
from riveg.evaluation.protocols import PROTOCOLS
from riveg.evaluation.scoring import answers, left_out_of

_SAID = {
    "tags": ("the predictions are tags only, nothing is said of places", "MNER is"),
    "groundability": (
        "the predictions say what is shown, but tell no boxes",
        "MNER and groundability are",
    ),
}


def detail_notes(predictions: Predictions, gold: GoldSet) -> Iterator[str]:
    """Which metrics predictions without places can have."""
    if predictions.detail in _SAID:
        said, scored = _SAID[predictions.detail]
        placed = [*(["EEG", "GMNER"] if gold.has_boxes else []), *["SMNER"] * gold.has_masks]
        absent = f", {' and '.join(placed)} cannot be" if placed else ""
        yield f"{said}: {scored} scored{absent}"


def mask_note(gold: GoldSet) -> Iterator[str]:
    """Why masks are not scored, where they cannot be compared."""
    if gold.mask_fault is not None:
        yield f"SMNER is not scored: {gold.mask_fault}"


def mask_precision_note(sample_id: str | None) -> Iterator[str]:
    """Why masks have no average precision, where those of a sample cannot be compared."""
    if sample_id is not None:
        yield (
            "average precision of masks is not scored: masks of different sizes, or a damaged "
            f"one, in {quoted(sample_id)}"
        )


def unplaced_note(predictions: Predictions, unplaced: int, predicted: int) -> Iterator[str]:
    """How many entities no stage has answered the place of, where some are answered."""
    if predictions.detail == "regions" and unplaced:
        yield (
            f"entities whose place was not answered: {unplaced} of {predicted}; they count as "
            "predicted and are never right in EEG, GMNER and SMNER"
        )


def candidate_notes(
    predictions: Predictions, gold: GoldSet, protocols: Iterable[str]
) -> Iterator[str]:
    """What stands for the boxes of the detector, for the protocols that score by them."""
    names = [
        name
        for name in protocols
        if PROTOCOLS[name].by_candidate
        and "gmner" not in left_out_of(PROTOCOLS[name], predictions.detail, gold)
    ]
    if not names:
        return
    proposals = [sample.proposals for sample in gold.samples.values()]
    if None in proposals:
        plural = "s" if len(names) > 1 else ""
        yield (
            f"protocol{plural} {', '.join(names)}: without --proposals the predicted boxes stand "
            "in for the detector's, so that no published number compares"
        )
    elif () in proposals:
        yield (
            f"samples for which --proposals has no boxes: {proposals.count(())} of "
            f"{len(proposals)}; no box can be right there under {', '.join(names)}"
        )


def protocol_notes(
    predictions: Predictions,
    gold: GoldSet,
    left_out: Mapping[str, int],
    unscorable: Mapping[str, str],
) -> Iterator[str]:
    """What protocols do not score.

    Args:
        predictions: What is scored.
        gold: What it is scored against.
        left_out: By protocol, for all but the canonical one, how many samples it leaves out.
        unscorable: By protocol, why it cannot be scored at all.
    """
    for name, number in left_out.items():
        protocol = PROTOCOLS[name]
        if name in unscorable:
            yield f"protocol {name} is not scored: {unscorable[name]}"
        elif not answers(protocol, predictions.detail):
            yield f"protocol {name} is not scored: to it an entity without a place is no answer"
        elif not {*protocol.metrics} - left_out_of(protocol, predictions.detail, gold):
            yield f"protocol {name} counts nothing that both predictions and gold tell"
        elif number:
            yield f"protocol {name} leaves {number} of the samples out"
