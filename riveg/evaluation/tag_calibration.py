"""Tunes the threshold of a tagger on dev for canonical MNER F1, from a run's records alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from riveg.errors import UserError
from riveg.evaluation.bootstrap import RESAMPLES, Interval, interval_of
from riveg.evaluation.calibration import FOLDS, Estimate, Tuned, folds_of
from riveg.evaluation.calibration_run import TAG, read_tag_threshold
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.reruns import rerun_command
from riveg.evaluation.tag_outcomes import Counts, TagOutcomes, read_tag_outcomes


@dataclass(frozen=True, slots=True)
class TagCalibration:
    """The threshold of a tagger that a calibration chooses, and what it scores.

    The fields are those of :class:`~riveg.evaluation.calibration.Calibration`.
    """

    tuned: Tuned
    before: Estimate
    after: Estimate
    cross_validated: Estimate | None
    gain: Interval
    folds: int
    outcomes: TagOutcomes

    @property
    def thresholds(self) -> Mapping[str, Tuned]:
        """The one threshold, by its key."""
        return {TAG: self.tuned}

    @property
    def samples(self) -> int:
        """How many annotated samples the run has."""
        return len(self.outcomes.gold)


def calibrate_tagger(folder: Path, gold: GoldSet, *, resamples: int = RESAMPLES) -> TagCalibration:
    """The threshold with the best MNER F1 on the annotated samples of a run.

    Raises:
        UserError: If the tagger has no threshold, or no entity of the run is right.
    """
    own = read_tag_threshold(folder)
    outcomes = read_tag_outcomes(folder, gold, own)
    best = outcomes.best()
    columns = [outcomes.at(own), outcomes.at(best.value)]
    if not columns[1][:, 0].any():
        raise UserError(
            f"{folder}: none of its entities is right at any threshold; are the system's types "
            f"(labels:) those of {gold.name}?"
        )
    if len(outcomes.gold) > 1:
        columns.append(_held_out(outcomes))
    f1 = outcomes.resampled_f1(columns, resamples)
    before, after, *held_out = (
        Estimate(outcomes.count(one), interval_of(f1[:, column]))
        for column, one in enumerate(columns)
    )
    return TagCalibration(
        Tuned(own, best, outcomes.axis.floor),
        before,
        after,
        held_out[0] if held_out else None,
        interval_of(f1[:, 1] - f1[:, 0]),
        min(FOLDS, len(outcomes.gold)),
        outcomes,
    )


def _held_out(outcomes: TagOutcomes) -> Counts:
    """Counts of each sample with the threshold chosen on the other folds."""
    fold = folds_of(len(outcomes.gold))
    counts = np.zeros((len(fold), 2), dtype=np.int64)
    for held_out in range(int(fold.max()) + 1):
        is_out = fold == held_out
        counts[is_out] = outcomes.at(outcomes.best(~is_out).value)[is_out]
    return counts


def tag_rerun_advice(folder: Path, calibration: TagCalibration) -> str | None:
    """The run that shows the outcome of every threshold, where this run does not."""
    if calibration.tuned.floor <= 0:
        return None
    return rerun_command(folder, f"{TAG}=0", until="tag", suffix="open")
