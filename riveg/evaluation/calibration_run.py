"""The run that is calibrated: the thresholds that its backends have, and what it was run over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riveg.datasets.dataset import Dataset
from riveg.errors import UserError
from riveg.evaluation.reruns import run_settings
from riveg.formats.run_records import finished_manifest
from riveg.registry import backend_config

ENTAIL = "entail.threshold"
TAG = "tag.threshold"
RECHECK = "ground.recheck.threshold"
"""Where crops of a detector's regions are checked again, scores are those of the check."""
_FIELDS = ("threshold", "box_threshold")
"""How backends name the lower bound of their scores."""


@dataclass(frozen=True, slots=True)
class RunThreshold:
    """A threshold by its key in the configuration, and its value in the run."""

    key: str
    value: float


@dataclass(frozen=True, slots=True)
class RunThresholds:
    """The thresholds of a run; ``None`` where the backend has none to set."""

    entail: RunThreshold | None
    ground: RunThreshold | None


def read_thresholds(folder: Path) -> RunThresholds:
    """The thresholds that the backends of a run have.

    Raises:
        UserError: If no backend has a threshold, or the run has not grounded anything.
    """
    settings = run_settings(folder)
    ran = finished_manifest(folder).get("stages", {})
    found = RunThresholds(
        *(_threshold(settings, stage) if stage in ran else None for stage in ("entail", "ground"))
    )
    if found == RunThresholds(None, None):
        backends = ", ".join(f"{name}: {value['backend']}" for name, value in ran.items())
        advice = "; --metric mner tunes its tagger's" if _threshold(settings, "tag") else ""
        raise UserError(
            f"{folder}: no backend of entail and ground has a threshold "
            f"({backends or 'no stage'}){advice}"
        )
    if "ground" not in ran:
        raise UserError(f"{folder}: nothing was grounded, so nothing can be tuned for GMNER")
    return found


def read_tag_threshold(folder: Path) -> float:
    """The threshold of a run's tagger.

    Raises:
        UserError: If it has none.
    """
    settings = run_settings(folder)
    found = _threshold(settings, "tag")
    if found is None or found.key != TAG:
        block = settings.get("tag")
        named = block.get("backend") if isinstance(block, dict) else "none"
        raise UserError(f"{folder}: its tagger has no threshold (tag: {named}); tag: gliner has")
    return found.value


def _threshold(settings: Mapping[str, Any], stage: str) -> RunThreshold | None:
    block = settings.get(stage)
    if not isinstance(block, dict):
        return None
    if isinstance(block.get("recheck"), dict):
        return RunThreshold(f"{stage}.recheck.threshold", float(block["recheck"]["threshold"]))
    fields = backend_config(stage, str(block.get("backend"))).model_fields
    name = next((name for name in _FIELDS if name in fields), None)
    value = None if name is None else block.get(name, fields[name].default)
    return None if value is None else RunThreshold(f"{stage}.{name}", float(value))


def recheck_matcher(folder: Path) -> str | None:
    """The network with which a run checks crops of its regions; ``None`` where it does not."""
    block = run_settings(folder).get("ground")
    recheck = block.get("recheck") if isinstance(block, dict) else None
    return recheck["matcher"] if isinstance(recheck, dict) and recheck else None


def refuse_test(folder: Path, dataset: Dataset) -> None:
    """Makes sure that no threshold is tuned on the samples that it will be scored on.

    Raises:
        UserError: If a split of the gold, or the split of the run, is called test.
    """
    run = finished_manifest(folder).get("split")
    for where, split in [(dataset.name, split) for split in dataset.splits] + [(str(folder), run)]:
        if split and "test" in re.split(r"[^a-z]+", split.casefold()):
            raise UserError(
                f"{where}: its split is called {split}: thresholds tuned on test make its score "
                "worthless; calibrate on dev (--gold DEV, or --split dev)"
            )
