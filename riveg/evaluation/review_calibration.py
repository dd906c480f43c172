"""Tunes the gates of a review on dev, from the records of one run that asked about everything.

The records hold what every second look changed, so the outcome of any gate is known, except where
a look was at the outcome of an earlier one that a gate leaves out; these samples are counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from riveg.errors import UserError
from riveg.evaluation.bootstrap import RESAMPLES, Interval, interval_of
from riveg.evaluation.calibration import FOLDS, Estimate, Tuned, folds_of
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.reruns import rerun_command, run_settings
from riveg.evaluation.review_outcomes import Gates, ReviewOutcomes, read_review_outcomes
from riveg.evaluation.reviewing import STAGE
from riveg.evaluation.threshold_search import Curve, Plateau, highest_plateau
from riveg.formats.run_records import finished_manifest
from riveg.types import REVIEW_KINDS, ReviewKind

_NEVER = math.inf
_MOST_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class ReviewCalibration:
    """The gates that a calibration chooses, and what they score.

    Args:
        metric: What was tuned for: ``gmner`` or ``mner``.
        tuned: The gate of each kind that the run reviewed.
        before: Without any review.
        everything: With all that the run asked.
        after: With the chosen gates, on the samples they were chosen on: somewhat too good.
        cross_validated: Each fold scored with gates chosen on the others; ``None`` where there are
            fewer than two samples.
        gain: Interval of the difference in F1, ``after`` less ``before``, on the same resamples.
        folds: Number of folds.
        shares: By kind, the share of entities that the chosen gates ask about, in [0, 100].
        shares_of_run: The same with all that the run asked.
        entangled: Samples where a look that is asked was at what an earlier one had changed, and
            the chosen gates leave that change out.
        outcomes: What the scores are computed from.
    """

    metric: str
    tuned: Mapping[ReviewKind, Tuned]
    before: Estimate
    everything: Estimate
    after: Estimate
    cross_validated: Estimate | None
    gain: Interval
    folds: int
    shares: Mapping[ReviewKind, float]
    shares_of_run: Mapping[ReviewKind, float]
    entangled: int
    outcomes: ReviewOutcomes

    @property
    def thresholds(self) -> Mapping[str, Tuned]:
        """The gates by their keys."""
        return {f"{STAGE}.{kind}": tuned for kind, tuned in self.tuned.items()}

    @property
    def samples(self) -> int:
        """How many annotated samples the run has."""
        return len(self.outcomes.samples)


def calibrate_review(
    folder: Path, gold: GoldSet, metric: str, *, resamples: int = RESAMPLES
) -> ReviewCalibration:
    """The gates with the best F1 on the annotated samples of a run.

    A review keeps the number of entities, so the most hits are the best F1. One gate after the
    other is put where it makes most hits, the rest as it is, until none makes more; from no review
    and from everything, so that the outcome is never below either; but
    a look at what is utterly uncertain, 1, stays at every gate.

    Raises:
        UserError: If the run has no review, nothing was reviewed, or GMNER is asked for and the
            gold has no boxes.
    """
    if metric == "gmner" and not gold.has_boxes:
        raise UserError(f"{gold.name}: tells no boxes, which GMNER is scored by; --metric mner")
    own = read_gates(folder)
    outcomes = read_review_outcomes(folder, gold, own, metric)
    best = best_gates(outcomes)
    gates = {kind: plateau.value for kind, plateau in best.items()}
    nothing = dict.fromkeys(own, _NEVER)
    columns = [outcomes.hits(nothing), outcomes.hits(own), outcomes.hits(gates)]
    if len(outcomes.samples) > 1:
        columns.append(_held_out(outcomes))
    f1 = outcomes.resampled_f1(columns, resamples)
    before, everything, after, *held_out = (
        Estimate(outcomes.count(one), interval_of(f1[:, column]))
        for column, one in enumerate(columns)
    )
    return ReviewCalibration(
        metric,
        {kind: Tuned(own[kind], best[kind], outcomes.axes[kind].floor) for kind in own},
        before,
        everything,
        after,
        held_out[0] if held_out else None,
        interval_of(f1[:, 2] - f1[:, 0]),
        min(FOLDS, len(outcomes.samples)),
        {kind: outcomes.share(kind, gates) for kind in own},
        {kind: outcomes.share(kind, own) for kind in own},
        sum(one.is_entangled(gates) for one in outcomes.samples),
        outcomes,
    )


def read_gates(folder: Path) -> dict[ReviewKind, float]:
    """The gates of a run's review, by kind.

    Raises:
        UserError: If the run has no review.
    """
    settings = run_settings(folder)
    block = settings.get(STAGE)
    if not isinstance(block, dict) or STAGE not in finished_manifest(folder).get("stages", {}):
        raise UserError(f"{folder}: has no stage {STAGE}, whose gates could be tuned")
    gates = {kind: block.get(kind) for kind in REVIEW_KINDS}
    return {kind: float(gate) for kind, gate in gates.items() if isinstance(gate, int | float)}


def best_gates(
    outcomes: ReviewOutcomes, is_wanted: NDArray[np.bool_] | None = None
) -> dict[ReviewKind, Plateau]:
    """The gates with the most hits on all or some samples; of equal ones those that ask less."""
    wanted = np.ones(len(outcomes.samples), dtype=np.bool_) if is_wanted is None else is_wanted
    lowest = {kind: float(axis.floor) for kind, axis in outcomes.axes.items()}
    found = [_climbed(outcomes, start, wanted) for start in (dict.fromkeys(lowest, _NEVER), lowest)]
    # Of two that are equal the first one, which began with no review.
    return max(found, key=lambda one: one[0])[1]


def _climbed(
    outcomes: ReviewOutcomes, start: Gates, wanted: NDArray[np.bool_]
) -> tuple[int, dict[ReviewKind, Plateau]]:
    """Hits and gates, once no gate alone makes more hits."""
    gates, best = dict(start), -1
    plateaus: dict[ReviewKind, Plateau] = {}
    for _ in range(_MOST_ROUNDS):
        hits = best
        for kind, axis in outcomes.axes.items():
            curve = outcomes.along(kind, gates, wanted)
            plateaus[kind] = highest_plateau(axis, curve)
            gates[kind], hits = plateaus[kind].value, int(curve.max())
        if hits <= best:
            break
        best = hits
    return best, plateaus


def _held_out(outcomes: ReviewOutcomes) -> Curve:
    """Hits of each sample with gates chosen on the other folds."""
    fold = folds_of(len(outcomes.samples))
    hits = np.zeros(len(fold), dtype=np.int64)
    for held_out in range(int(fold.max()) + 1):
        is_out = fold == held_out
        gates = {kind: one.value for kind, one in best_gates(outcomes, ~is_out).items()}
        hits[is_out] = outcomes.hits(gates)[is_out]
    return hits


def review_rerun_advice(folder: Path, calibration: ReviewCalibration) -> str | None:
    """The run that shows the outcome of every gate, where this run does not."""
    closed = [key for key, tuned in calibration.thresholds.items() if tuned.floor > 0]
    return rerun_command(folder, *(f"{key}=0" for key in closed), suffix="open") if closed else None
