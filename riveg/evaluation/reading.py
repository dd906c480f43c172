"""From what a user names to predictions, gold and protocols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from riveg.datasets.config import shipped_datasets
from riveg.datasets.dataset import Dataset
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError, suggest
from riveg.evaluation.cases import AnnotatedEntity
from riveg.evaluation.foreign import FORMATS, read_foreign, sniff
from riveg.evaluation.foreign.predictions import ForeignFile
from riveg.evaluation.foreign.riveg_text import read_riveg_gold
from riveg.evaluation.foreign.sniff import is_riveg_gold
from riveg.evaluation.foreign.sysu import MISC, OTHER, is_sysu_gold, read_sysu_gold
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
from riveg.evaluation.slices import folded
from riveg.evaluation.stored_samples import StoredSamples
from riveg.formats.run_records import require_whole_export
from riveg.formats.smner import read_index, read_smner

TRAIN = "train"
AUTO = "auto"
ALL = "all"


def open_predictions(
    path: Path, *, format: str = AUTO, boxes: Path | None = None, scheme: str | None = None
) -> Predictions:
    """Predictions of any kind.

    Args:
        path: A run folder, a file of records, an ``smner`` export, or another system's output.
        format: One of :data:`~riveg.evaluation.foreign.FORMATS`, or ``auto``.
        boxes: RiVEG's boxes, which come in a file of their own.
        scheme: The name of a CoNLL file's tag scheme; ``None``: the one that its tags have.

    Raises:
        UserError: If it cannot be read as that.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    require_whole_export(path)
    kind = sniff(path) if format == AUTO else format
    if kind not in FORMATS:
        raise UserError(f"--format {format}: no such format; {suggest(format, (*FORMATS, AUTO))}")
    if kind not in _OWN:
        return _foreign(path, read_foreign(path, kind, boxes, scheme))
    if scheme is not None:
        raise UserError(f"--scheme {scheme}: only the format conll has tags, {path} is {kind}")
    if boxes is not None:
        raise UserError(f"{boxes}: boxes come apart in the format riveg only, {path} is {kind}")
    return _OWN[kind](path)


def _smner(folder: Path) -> Predictions:
    return predictions_of_samples(folder, "smner", lambda: read_smner(folder), read_index(folder))


_OWN = {"run": predictions_of_run, "jsonl": predictions_of_records, "smner": _smner}


def _foreign(path: Path, file: ForeignFile) -> Predictions:
    def read() -> Iterator[Prediction]:
        for sample in file.samples:
            sample_id = None if file.by_order else sample.sample_id
            yield Prediction(
                sample_id,
                sample.predicted,
                answered=sample.answered,
                size=sample.size,
                tokens=sample.tokens,
            )

    return Predictions(
        str(path),
        file.format,
        read,
        file.detail,
        notes=file.notes,
        absent_is_empty=file.absent_is_empty,
        by_candidate=file.by_candidate,
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
        source: A dataset by name or path, RiVEG's label file, or the gold file of UnCo and SAKE;
            ``None``: the run's own data.
        predictions: What is scored; a run names its data and split.
        split: The split; ``None``: the run's.
        proposals: A folder of a detector's boxes.

    Raises:
        UserError: If there is none, or it has no annotation.
    """
    gold = _gold(source, predictions, split)
    if proposals is None:
        return gold
    return replace(
        gold,
        samples=StoredSamples(
            (sample_id, replace(sample, proposals=read_proposals(proposals, sample_id)))
            for sample_id, sample in gold.samples.items()
        ),
    )


def _gold(source: str | None, predictions: Predictions, split: str | None) -> GoldSet:
    manifest = predictions.manifest
    if source is not None and is_riveg_gold(Path(source)):
        return _riveg_gold(Path(source))
    if source is not None and is_sysu_gold(Path(source)):
        return _sysu_gold(Path(source), predictions)
    dataset = _gold_data(source, manifest)
    wanted = split or manifest.get("split")
    if split is not None or wanted in dataset.splits:
        dataset = _gold_data(source, manifest, str(wanted))
    return read_gold(dataset)


def _gold_data(
    source: str | None, manifest: Mapping[str, Any], split: str | None = None
) -> Dataset:
    """The dataset that is named as gold, or the run's own by the run's columns."""
    if source is not None:
        return open_dataset(source, split=split)
    return open_dataset(_own_data(manifest), split=split, columns=manifest.get("columns", {}))


def seen_mentions(
    source: str | None, predictions: Predictions, named: str | None
) -> frozenset[str] | None:
    """The mentions, folded, of the data that a system has learnt from.

    Args:
        source: The gold, as for :func:`open_gold`.
        predictions: What is scored.
        named: A split of the gold's dataset, or other data, of which only the split ``train``
            counts where there is one; ``None``: the split ``train`` of the gold's dataset.

    Returns:
        ``None`` where nothing is named and the gold has no split ``train`` with files.

    Raises:
        UserError: If what is named cannot be read, or has no annotation.
    """
    is_file = source is not None and (is_riveg_gold(Path(source)) or is_sysu_gold(Path(source)))
    manifest = predictions.manifest
    split = TRAIN if named is None else named
    if not is_file and split in _gold_data(source, manifest).splits:
        dataset = _gold_data(source, manifest, split)
    elif named is None:
        return None
    elif TRAIN in (dataset := open_dataset(named)).splits:
        dataset = open_dataset(named, split=TRAIN)
    return frozenset(folded(entity.text) for entity in read_gold(dataset).entities())


def _own_data(manifest: Mapping[str, Any]) -> str | list[str]:
    """The run's data: by its name, or the files that it was read from."""
    name, origin = manifest.get("data"), manifest.get("origin", [])
    if (described := manifest.get("data_file")) is not None:
        if not Path(described).is_file():
            raise UserError(
                f"{described}: is gone, which described the data of the run; name it as --gold"
            )
        return str(described)
    if name in shipped_datasets():
        return str(name)
    if origin and all(Path(file).exists() for file in origin):
        return [str(file) for file in origin]
    raise UserError("--gold: say which data the predictions are scored against")


def _sysu_gold(path: Path, predictions: Predictions) -> GoldSet:
    labels = {entity.label for found in predictions.read() for entity in found.predicted}
    return read_sysu_gold(path, keep_misc=MISC in labels and OTHER not in labels)


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
