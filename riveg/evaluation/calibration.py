"""Thresholds tuned on dev for canonical GMNER F1, from a run's records alone.

The outcome is computed by leaving out regions, not by asking anybody again. A grounder that shares
regions out among the entities of a sample (``evidence`` does, for people) may place one elsewhere
when the gate leaves out another; the samples where that could be are counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riveg.config.calibrated import KIND, SCHEMA
from riveg.counts import Count
from riveg.datasets.dataset import Dataset
from riveg.errors import UserError
from riveg.evaluation.bootstrap import RESAMPLES, SEED, Interval, percentages, resampled
from riveg.evaluation.calibration_outcomes import Outcomes, OwnThresholds, Post, read_outcomes
from riveg.evaluation.canonical import Rules
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.predictions import predictions_of_run
from riveg.evaluation.reruns import rerun_command, run_settings
from riveg.evaluation.scoring import is_fine, rules_for
from riveg.evaluation.threshold_search import Best, Plateau
from riveg.files import write_atomically
from riveg.registry import backend_config
from riveg.runs.folder import RunFolder

FOLDS = 5
ENTAIL = "entail.threshold"
RECHECK = "ground.recheck.threshold"
"""Where a detector's regions are looked at again, their scores are what this one is about."""
_FIELDS = ("threshold", "box_threshold")
"""What backends call the bound of their scores."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """GMNER counts with the 95 % interval of F1 over resampled samples."""

    count: Count
    f1: Interval


@dataclass(frozen=True, slots=True)
class Tuned:
    """One threshold: the run's own, the chosen one, and how far that may be moved for nothing.

    ``floor`` is the bound below which the records do not tell the outcome of a threshold.
    """

    own: float
    chosen: Plateau
    floor: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was found.

    Args:
        thresholds: By key, those that a configuration can take.
        before: With the run's own thresholds.
        after: With the chosen ones, on the samples they were chosen for: too good by some.
        cross_validated: Each fold scored with thresholds chosen on the others; ``None`` where there
            are fewer than two samples.
        gain: Interval of the difference in F1, ``after`` less ``before``, on the same resamples.
        folds: Number of folds.
        rearranged: Samples in which the chosen gate leaves out other entities than the run's and
            still lets one through.
        outcomes: What it was computed from.
    """

    thresholds: Mapping[str, Tuned]
    before: Estimate
    after: Estimate
    cross_validated: Estimate | None
    gain: Interval
    folds: int
    rearranged: int
    outcomes: Outcomes

    @property
    def chosen(self) -> tuple[float, float]:
        """The pair: entailment and detector threshold."""
        entail, ground = self.outcomes.own
        for key, tuned in self.thresholds.items():
            if key == ENTAIL:
                entail = tuned.chosen.value
            else:
                ground = tuned.chosen.value
        return entail, ground


def refuse_test(folder: Path, dataset: Dataset) -> None:
    """Makes sure that nothing is tuned on what it will be scored on.

    Raises:
        UserError: If a split of the gold, or the one that was run, is called test.
    """
    run = RunFolder(folder).read_manifest().get("split")
    for where, split in [(dataset.name, split) for split in dataset.splits] + [(str(folder), run)]:
        if split and "test" in re.split(r"[^a-z]+", split.casefold()):
            raise UserError(
                f"{where}: its split is called {split}: thresholds tuned on test make its score "
                "worthless; calibrate on dev (--gold DEV, or --split dev)"
            )


def own_thresholds(folder: Path) -> OwnThresholds:
    """The thresholds that a run's backends have, and were run with.

    Raises:
        UserError: If none of them has one.
    """
    settings = run_settings(folder)
    ran = RunFolder(folder).read_manifest().get("stages", {})
    own = OwnThresholds(*(_own(settings, stage, ran) for stage in ("entail", "ground")))
    if own == OwnThresholds(None, None):
        backends = ", ".join(f"{name}: {value['backend']}" for name, value in ran.items())
        raise UserError(
            f"{folder}: no backend of entail and ground has a threshold ({backends or 'no stage'})"
        )
    if "ground" not in ran:
        raise UserError(f"{folder}: nothing was grounded, so nothing can be tuned for GMNER")
    return own


def _own(settings: Mapping[str, Any], stage: str, ran: Mapping[str, Any]) -> float | None:
    block = settings.get(stage)
    if stage not in ran or not isinstance(block, dict):
        return None
    if isinstance(block.get("recheck"), dict):
        return float(block["recheck"]["threshold"])
    fields = backend_config(stage, str(block.get("backend"))).model_fields
    name = _field(fields)
    return None if name is None else float(block.get(name, fields[name].default))


def _field(fields: Iterable[str]) -> str | None:
    return next((name for name in _FIELDS if name in fields), None)


def _ground_key(folder: Path) -> str:
    """The key of the threshold that a run's regions were held against."""
    if _recheck(folder):
        return RECHECK
    block = run_settings(folder).get("ground")
    backend = str(block.get("backend")) if isinstance(block, dict) else ""
    return f"ground.{_field(backend_config('ground', backend).model_fields)}"


def calibrate(
    folder: Path, gold: GoldSet, *, rules: Rules | None = None, resamples: int = RESAMPLES
) -> Calibration:
    """The thresholds with the best GMNER F1 on the annotated samples of a run.

    Predicted and gold entities stay as many as they are, so the most hits are the best F1.

    Raises:
        UserError: If the gold tells no boxes, no backend has a threshold, or the records do not go
            with the run's settings.
    """
    if not gold.has_boxes:
        raise UserError(f"{gold.name}: tells no boxes, which GMNER is scored by")
    own = own_thresholds(folder)
    fine = is_fine(predictions_of_run(folder), gold)
    outcomes = read_outcomes(folder, gold, own, rules_for(gold, rules or Rules(), fine=fine))
    best = outcomes.surface.best()
    samples = len(outcomes.posts)
    chosen = best.entail.value, best.ground.value
    hits = [outcomes.surface.hits_by_sample(*pair, samples) for pair in (outcomes.own, chosen)]
    held_out = _held_out_hits(outcomes) if samples > 1 else None
    totals = _totals(outcomes, [*hits, *([] if held_out is None else [held_out])])
    drawn = _drawn(totals, resamples)
    f1 = percentages(drawn)[2]
    estimates = [
        Estimate(
            Count(*map(int, totals[:, 3 * column : 3 * column + 3].sum(axis=0))),
            _interval(f1[:, column]),
        )
        for column in range(f1.shape[1])
    ]
    return Calibration(
        _thresholds(own, _ground_key(folder), outcomes, best),
        estimates[0],
        estimates[1],
        estimates[2] if held_out is not None else None,
        _interval(f1[:, 1] - f1[:, 0]),
        min(FOLDS, samples),
        sum(_is_rearranged(sample, outcomes.own[0], chosen[0]) for sample in outcomes.posts),
        outcomes,
    )


def _recheck(folder: Path) -> Mapping[str, Any]:
    """How a run looked at its regions again; nothing where it did not."""
    block = run_settings(folder).get("ground")
    found = block.get("recheck") if isinstance(block, dict) else None
    return found if isinstance(found, dict) else {}


def _thresholds(
    own: OwnThresholds, ground: str, outcomes: Outcomes, best: Best
) -> dict[str, Tuned]:
    surface = outcomes.surface
    rows = (
        (ENTAIL, own.entail, best.entail, surface.entail),
        (ground, own.ground, best.ground, surface.ground),
    )
    return {
        key: Tuned(value, plateau, axis.floor)
        for key, value, plateau, axis in rows
        if value is not None
    }


def _held_out_hits(outcomes: Outcomes) -> NDArray[np.int64]:
    """Hits of each sample with thresholds chosen on the other folds."""
    samples = len(outcomes.posts)
    fold = np.random.default_rng(SEED).permutation(samples) % min(FOLDS, samples)
    hits = np.zeros(samples, dtype=np.int64)
    for held_out in range(int(fold.max()) + 1):
        best = outcomes.surface.only(fold != held_out).best()
        found = outcomes.surface.hits_by_sample(best.entail.value, best.ground.value, samples)
        hits[fold == held_out] = found[fold == held_out]
    return hits


def _totals(outcomes: Outcomes, hits: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Hits, predicted and gold of each sample, once for each array of hits."""
    sizes = outcomes.sizes
    return np.hstack([np.column_stack([one, sizes]) for one in hits])


def _drawn(totals: NDArray[np.int64], resamples: int) -> NDArray[np.int64]:
    rows, often = np.unique(totals, axis=0, return_counts=True)
    return resampled([tuple(row) for row in rows], often.tolist(), resamples, SEED)


def _interval(values: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(float(low), float(high))


def _is_rearranged(sample: Post, own: float, chosen: float) -> bool:
    known = [one for one in sample.probabilities if one is not None]
    before, after = ({one for one in known if one >= bound} for bound in (own, chosen))
    return before != after and bool(after)


def rerun_advice(folder: Path, calibration: Calibration) -> str | None:
    """The run that tells the outcome of every threshold, where this one does not."""
    low = {key: tuned.floor > 0 for key, tuned in calibration.thresholds.items()}
    overrides = [f"{key}=0" for key, is_cut in low.items() if is_cut]
    if RECHECK in low and run_settings(folder)["ground"].get("regions") == "one":
        # With another threshold another of the detector's candidates may be the one.
        overrides.append("ground.regions=many")
    return rerun_command(folder, *overrides, suffix="open") if overrides else None


def artifact_content(
    folder: Path, name: str, gold: GoldSet, calibration: Calibration
) -> dict[str, Any]:
    """What a calibration's file holds."""
    from riveg import __version__

    manifest = RunFolder(folder).read_manifest()
    stages, recheck = manifest.get("stages", {}), _recheck(folder)
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "name": name,
        "values": {key: tuned.chosen.value for key, tuned in calibration.thresholds.items()},
        "backends": {stage: values["backend"] for stage, values in stages.items()}
        | ({"ground.recheck": recheck["matcher"]} if recheck else {}),
        "data": {"name": gold.name, "version": gold.version, "split": gold.split},
        "run": {key: manifest.get(key) for key in ("system", "data", "data_version", "split")}
        | {"limit": manifest.get("limit"), "oracle_stages": manifest.get("oracle_stages")}
        | {"stages": stages},
        **summary(calibration),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "riveg": __version__,
    }


def summary(calibration: Calibration) -> dict[str, Any]:
    """Thresholds, scores and counts as plain data."""
    outcomes = calibration.outcomes
    scores = {
        "before": calibration.before,
        "after": calibration.after,
        "cross_validated": calibration.cross_validated,
    }
    return {
        "metric": "gmner",
        "samples": len(outcomes.posts),
        "thresholds": {key: asdict(tuned) for key, tuned in calibration.thresholds.items()},
        "scores": {name: None if one is None else _score(one) for name, one in scores.items()},
        "gain": asdict(calibration.gain),
        "folds": calibration.folds,
        "samples_without_gold": outcomes.without_gold,
        "entities_shut_out": outcomes.shut_out,
        "entities_without_probability": outcomes.without_probability,
        "regions_without_score": outcomes.without_score,
        "samples_rearranged": calibration.rearranged,
    }


def _score(estimate: Estimate) -> dict[str, Any]:
    count = estimate.count
    return {**asdict(count), "f1": count.f1, "low": estimate.f1.low, "high": estimate.f1.high}


def write_artifact(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a calibration's file, whole or not at all.

    Raises:
        UserError: If it cannot be written, or there is a file that is no calibration.
    """
    if path.is_file() and not _is_calibration(path):
        raise UserError(f"{path}: is there and no calibration; choose another --out")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path.parent}: cannot be made ({error.strerror})") from error
    write_atomically(path, [json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"])


def _is_calibration(path: Path) -> bool:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("kind") == KIND
