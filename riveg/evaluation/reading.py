"""From what a user names to predictions, gold and protocols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from riveg.datasets.config import shipped_datasets
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError, suggest
from riveg.evaluation.cases import AnnotatedEntity
from riveg.evaluation.foreign import FORMATS, read_foreign, sniff
from riveg.evaluation.foreign.predictions import ForeignFile
from riveg.evaluation.foreign.riveg_text import read_riveg_gold
from riveg.evaluation.foreign.sniff import is_riveg_gold
from riveg.evaluation.gold import GoldSample, GoldSet, gold_set, read_gold
from riveg.evaluation.predictions import (
    Prediction,
    Predictions,
    predictions_of_records,
    predictions_of_run,
    predictions_of_samples,
)
from riveg.evaluation.proposals import read_proposals
from riveg.evaluation.protocols import PROTOCOLS
from riveg.formats.smner import read_index, read_smner

AUTO = "auto"
ALL = "all"


def open_predictions(path: Path, *, format: str = AUTO, boxes: Path | None = None) -> Predictions:
    """Predictions of any kind.

    Args:
        path: A run folder, a file of records, an ``smner`` export, or another system's output.
        format: One of :data:`~riveg.evaluation.foreign.FORMATS`, or ``auto``.
        boxes: RiVEG's boxes, which come in a file of their own.

    Raises:
        UserError: If it cannot be read as that.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    kind = sniff(path) if format == AUTO else format
    if kind not in FORMATS:
        raise UserError(f"--format {format}: no such format; {suggest(format, (*FORMATS, AUTO))}")
    if kind not in _OWN:
        return _foreign(path, read_foreign(path, kind, boxes))
    if boxes is not None:
        raise UserError(f"{boxes}: boxes come apart in the format riveg only, {path} is {kind}")
    return _OWN[kind](path)


def _smner(folder: Path) -> Predictions:
    return predictions_of_samples(folder, "smner", lambda: read_smner(folder), read_index(folder))


_OWN = {"run": predictions_of_run, "jsonl": predictions_of_records, "smner": _smner}


def _foreign(path: Path, file: ForeignFile) -> Predictions:
    def read() -> Iterator[Prediction]:
        for sample in file.samples:
            yield Prediction(None if file.by_order else sample.sample_id, sample.predicted)

    return Predictions(
        str(path),
        file.format,
        read,
        file.detail,
        notes=file.notes,
        absent_is_empty=file.absent_is_empty,
    )


def open_gold(
    source: str | None,
    predictions: Predictions,
    *,
    split: str | None = None,
    proposals: Path | None = None,
) -> GoldSet:
    """The gold that predictions are scored against.

    Args:
        source: A dataset by name or path, or RiVEG's label file; ``None``: the run's own data.
        predictions: What is scored; a run names its data and split.
        split: The split; ``None``: the run's.
        proposals: A folder of a detector's boxes.

    Raises:
        UserError: If there is none, or it has no annotation.
    """
    gold = _gold(source, predictions.manifest, split)
    if proposals is None:
        return gold
    return replace(
        gold,
        samples={
            sample_id: replace(sample, proposals=read_proposals(proposals, sample_id))
            for sample_id, sample in gold.samples.items()
        },
    )


def _gold(source: str | None, manifest: Mapping[str, Any], split: str | None) -> GoldSet:
    if source is not None and is_riveg_gold(Path(source)):
        return _riveg_gold(Path(source))
    named = source or _own_data(manifest)
    dataset = open_dataset(named)
    wanted = split or manifest.get("split")
    if split is not None or wanted in dataset.splits:
        dataset = open_dataset(named, split=str(wanted))
    return read_gold(dataset)


def _own_data(manifest: Mapping[str, Any]) -> str:
    """The run's data: by its name, or the one file that it was read from."""
    name, origin = manifest.get("data"), manifest.get("origin", [])
    if name in shipped_datasets():
        return str(name)
    if len(origin) == 1 and Path(origin[0]).exists():
        return str(origin[0])
    raise UserError("--gold: say which data the predictions are scored against")


def _riveg_gold(path: Path) -> GoldSet:
    found: Mapping[str, tuple[AnnotatedEntity, ...]] = read_riveg_gold(path)
    samples = {sample_id: GoldSample(entities) for sample_id, entities in found.items()}
    return replace(gold_set(path.name, samples), lists_entities_only=True)


def protocols_named(names: Sequence[str]) -> tuple[str, ...]:
    """Protocols by name, the canonical one first; ``all`` means every one.

    Raises:
        UserError: If there is no such protocol.
    """
    if ALL in names:
        return tuple(PROTOCOLS)
    for name in names:
        if name not in PROTOCOLS:
            raise UserError(
                f"--protocol {name}: no such protocol; {suggest(name, (*PROTOCOLS, ALL))}"
            )
    return tuple(name for name in PROTOCOLS if name in names or name == "canonical")
