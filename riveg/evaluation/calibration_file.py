"""The file that ``riveg calibrate`` writes, which a configuration names as ``@NAME``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from riveg.config.calibrated import KIND, SCHEMA
from riveg.errors import UserError
from riveg.evaluation.calibration import Calibration, Estimate
from riveg.evaluation.calibration_run import recheck_matcher
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.review_calibration import ReviewCalibration
from riveg.evaluation.tag_calibration import TagCalibration
from riveg.files import make_folder, write_atomically
from riveg.formats.json_files import read_json
from riveg.formats.run_records import finished_manifest

Found = Calibration | TagCalibration | ReviewCalibration
"""What a calibration has found."""


def artifact_content(folder: Path, name: str, gold: GoldSet, calibration: Found) -> dict[str, Any]:
    """What a calibration's file holds."""
    from riveg import __version__

    manifest, matcher = finished_manifest(folder), recheck_matcher(folder)
    stages = manifest.get("stages", {})
    run_keys = ("system", "data", "data_version", "split", "limit", "oracle_stages")
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "name": name,
        "values": {key: tuned.chosen.value for key, tuned in calibration.thresholds.items()},
        "backends": {stage: values["backend"] for stage, values in stages.items()}
        | ({"ground.recheck": matcher} if matcher else {}),
        "data": {"name": gold.name, "version": gold.version, "split": gold.split},
        "run": {key: manifest.get(key) for key in run_keys} | {"stages": stages},
        **_summary(calibration),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "riveg": __version__,
    }


def _summary(calibration: Found) -> dict[str, Any]:
    """Thresholds, scores and counts as plain data."""
    return {
        "metric": _metric(calibration),
        "samples": calibration.samples,
        "thresholds": {key: asdict(tuned) for key, tuned in calibration.thresholds.items()},
        "scores": {
            "before": _score(calibration.before),
            "after": _score(calibration.after),
            "cross_validated": _score(calibration.cross_validated),
            **_of_everything(calibration),
        },
        "gain": asdict(calibration.gain),
        "folds": calibration.folds,
        "samples_without_gold": calibration.outcomes.without_gold,
        "notes": list(calibration.outcomes.notes),
        **_left_out(calibration),
    }


def _metric(calibration: Found) -> str:
    if isinstance(calibration, ReviewCalibration):
        return calibration.metric
    return "mner" if isinstance(calibration, TagCalibration) else "gmner"


def _of_everything(calibration: Found) -> dict[str, Any]:
    """The score of a review of everything; thresholds of other stages have no such score."""
    if not isinstance(calibration, ReviewCalibration):
        return {}
    return {"everything": _score(calibration.everything)}


def _left_out(calibration: Found) -> dict[str, Any]:
    """How many of what no threshold moves; of a review, the shares that were and are asked."""
    if isinstance(calibration, ReviewCalibration):
        return {
            "asked_percent": dict(calibration.shares),
            "asked_percent_of_run": dict(calibration.shares_of_run),
            "samples_entangled": calibration.entangled,
        }
    if isinstance(calibration, TagCalibration):
        return {"entities_without_score": calibration.outcomes.without_score}
    return {
        "entities_shut_out": calibration.outcomes.shut_out,
        "entities_without_probability": calibration.outcomes.without_probability,
        "regions_without_score": calibration.outcomes.without_score,
        "samples_rearranged": calibration.rearranged,
    }


def _score(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {**asdict(estimate.count), "f1": estimate.count.f1, **asdict(estimate.f1)}


def write_artifact(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a calibration's file, whole or not at all.

    Raises:
        UserError: If the file cannot be written, or the path is a file that is no calibration.
    """
    if path.is_file() and not _is_calibration(path):
        raise UserError(f"{path}: is there and no calibration; choose another --out")
    make_folder(path.parent)
    write_atomically(path, [json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"])


def _is_calibration(path: Path) -> bool:
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("kind") == KIND
