"""Tunes thresholds on dev for canonical GMNER F1, from a run's records alone.

The outcome of a threshold is computed by leaving regions out; no stage runs again. A grounder that
distributes regions among the entities of a sample (``evidence`` does, for people) may place an
entity elsewhere when the gate stops another one; the samples where that can happen are counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from riveg.errors import UserError
from riveg.evaluation.bootstrap import RESAMPLES, SEED, Interval, interval_of
from riveg.evaluation.calibration_outcomes import Hits, Outcomes, SampleCounts, read_outcomes
from riveg.evaluation.calibration_run import RECHECK, read_thresholds
from riveg.evaluation.canonical import Rules
from riveg.evaluation.counts import Count
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.reruns import rerun_command, run_settings
from riveg.evaluation.threshold_search import Plateau

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Estimate:
    """GMNER counts with the 95 % interval of F1 over resampled samples."""

    count: Count
    f1: Interval


@dataclass(frozen=True, slots=True)
class Tuned:
    """One threshold: the run's own value, the chosen value, and the values that are as good.

    ``floor``: the records do not show the outcome of lower thresholds.
    """

    own: float
    chosen: Plateau
    floor: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """The thresholds that a calibration chooses, and what they score.

    Args:
        thresholds: By key, the thresholds that a configuration can set.
        chosen: The pair: entailment and detector threshold.
        before: With the run's own thresholds.
        after: With the chosen thresholds, on the samples they were chosen on: somewhat too good.
        cross_validated: Each fold scored with thresholds chosen on the others; ``None`` where there
            are fewer than two samples.
        gain: Interval of the difference in F1, ``after`` less ``before``, on the same resamples.
        folds: Number of folds.
        rearranged: Samples in which the chosen gate stops other entities than the run's gate and
            still lets one pass.
        outcomes: What the scores are computed from.
    """

    thresholds: Mapping[str, Tuned]
    chosen: tuple[float, float]
    before: Estimate
    after: Estimate
    cross_validated: Estimate | None
    gain: Interval
    folds: int
    rearranged: int
    outcomes: Outcomes

    @property
    def samples(self) -> int:
        """How many annotated samples the run has."""
        return len(self.outcomes.samples)


def calibrate(
    folder: Path, gold: GoldSet, *, rules: Rules | None = None, resamples: int = RESAMPLES
) -> Calibration:
    """The thresholds with the best GMNER F1 on the annotated samples of a run.

    The numbers of predicted and gold entities do not change, so the most hits are the best F1.

    Raises:
        UserError: If the gold has no boxes, no backend has a threshold, or the records do not fit
            the run's settings.
    """
    if not gold.has_boxes:
        raise UserError(f"{gold.name}: tells no boxes, which GMNER is scored by")
    own = read_thresholds(folder)
    outcomes = read_outcomes(folder, gold, own, rules or Rules())
    surface, samples = outcomes.surface, outcomes.samples
    best = surface.best()
    thresholds = {
        threshold.key: Tuned(threshold.value, plateau, axis.floor)
        for threshold, plateau, axis in (
            (own.entail, best.entail, surface.entail),
            (own.ground, best.ground, surface.ground),
        )
        if threshold is not None
    }
    chosen = (
        best.entail.value if own.entail else outcomes.own[0],
        best.ground.value if own.ground else outcomes.own[1],
    )
    hits = [outcomes.hits(*outcomes.own), outcomes.hits(*chosen)]
    if len(samples) > 1:
        hits.append(_held_out_hits(outcomes))
    f1 = outcomes.resampled_f1(hits, resamples)
    before, after, *held_out = (
        Estimate(outcomes.count(one), interval_of(f1[:, column])) for column, one in enumerate(hits)
    )
    return Calibration(
        thresholds,
        chosen,
        before,
        after,
        held_out[0] if held_out else None,
        interval_of(f1[:, 1] - f1[:, 0]),
        min(FOLDS, len(samples)),
        sum(_is_rearranged(one, outcomes.own[0], chosen[0]) for one in samples),
        outcomes,
    )


def folds_of(samples: int) -> NDArray[np.int64]:
    """The fold of each sample, by chance. *Shape:* ``(samples,)``."""
    return np.random.default_rng(SEED).permutation(samples) % min(FOLDS, samples)


def _held_out_hits(outcomes: Outcomes) -> Hits:
    """Hits of each sample with thresholds chosen on the other folds."""
    fold = folds_of(len(outcomes.samples))
    hits = np.zeros(len(fold), dtype=np.int64)
    for held_out in range(int(fold.max()) + 1):
        best = outcomes.surface.only(fold != held_out).best()
        found = outcomes.hits(best.entail.value, best.ground.value)
        hits[fold == held_out] = found[fold == held_out]
    return hits


def _is_rearranged(sample: SampleCounts, own: float, chosen: float) -> bool:
    before, after = (
        {one for one in sample.probabilities if one >= bound} for bound in (own, chosen)
    )
    return before != after and bool(after)


def rerun_advice(folder: Path, calibration: Calibration) -> str | None:
    """The run that shows the outcome of every threshold, where this run does not."""
    floors = {key: tuned.floor for key, tuned in calibration.thresholds.items()}
    overrides = [f"{key}=0" for key, floor in floors.items() if floor > 0]
    if RECHECK in floors and run_settings(folder)["ground"].get("regions") == "one":
        # With another threshold another of the detector's candidates may be the one.
        overrides.append("ground.regions=many")
    return rerun_command(folder, *overrides, suffix="open") if overrides else None
