"""What is scored: a run, a file of records, or what another system wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from riveg.evaluation.cases import (
    Detail,
    PredictedEntity,
    image_size,
    least_detail,
    predicted_of,
)
from riveg.formats.run_records import finished_manifest
from riveg.runs.reading import read_record_lines, read_records
from riveg.stages.table import stages_giving
from riveg.types import ImageSize, Sample


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a system said of one sample.

    Args:
        sample_id: The sample's id; ``None``: the next sample in the order of the gold.
        predicted: The entities that the system found.
        answered: Whether the system answered at all.
        size: Of the image, where known.
        tokens: How many tokens the system saw; ``None`` where that is not known.
        has_image: Whether the sample has an image; without one every entity is "not shown", and
            nobody has looked.
    """

    sample_id: str | None
    predicted: tuple[PredictedEntity, ...]
    answered: bool = True
    size: ImageSize | None = None
    tokens: int | None = None
    has_image: bool = True


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions to be scored, of all samples.

    Args:
        name: Where the predictions come from, for users.
        format: One of ``run``, ``jsonl``, ``smner``, ``riveg``, ``e2e``, ``sake``,
            ``tiger``, ``conll``.
        read: Reads the predictions in their own order, any number of times.
        detail: What the predictions say of an entity.
        stages: The stages that the system ran.
        manifest: What the run says of itself; empty where there is none.
        notes: What a reader of the scores should know.
        absent_is_empty: Whether a sample without a prediction was answered with no entity.
        by_candidate: Whether places are told as indices of a detector's boxes.
        records: Reads the predictions as records, where they are; ``None`` where they are not.
    """

    name: str
    format: str
    read: Callable[[], Iterator[Prediction]]
    detail: Detail = "regions"
    stages: tuple[str, ...] = ("tag", "entail", "ground")
    manifest: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    absent_is_empty: bool = False
    by_candidate: bool = False
    records: Callable[[], Iterator[Sample]] | None = None


def prediction_of(sample: Sample) -> Prediction:
    """A record as a prediction."""
    return Prediction(
        sample.id,
        predicted_of(sample),
        sample.entities is not None,
        image_size(sample),
        len(sample.tokens),
        has_image=sample.image is not None,
    )


def predictions_of_run(folder: Path) -> Predictions:
    """The records of a run folder.

    Raises:
        UserError: If it holds no finished run.
    """
    manifest = finished_manifest(folder)
    return _of_run(str(folder), "run", lambda: read_records(folder, manifest), manifest)


def _of_run(
    name: str,
    format: str,
    samples: Callable[[], Iterator[Sample]],
    manifest: Mapping[str, Any],
) -> Predictions:
    stages = tuple(manifest.get("stages", {}))
    notes = []
    if manifest.get("limit"):
        notes.append(f"partial: the run was over --limit {manifest['limit']}")
    if manifest.get("failed"):
        notes.append(f"samples with an Issue: {manifest['failed']} (failed.jsonl says why)")

    def read() -> Iterator[Prediction]:
        return map(prediction_of, samples())

    asked = _detail_of_stages(stages)
    detail = asked
    if any(prediction.predicted for prediction in read()):
        # Stages that look at images answer nothing where there are none.
        detail = least_detail((asked, detail_of(read())))
    if detail != asked:
        notes.append(
            "no entity has an answer of the stages that look for places: had the run its images?"
        )
    return Predictions(name, format, read, detail, stages, manifest, tuple(notes), records=samples)


def _detail_of_stages(stages: Sequence[str]) -> Detail:
    """What the answers of these stages say at most."""
    if {*stages_giving("regions")} & {*stages}:
        return "regions"
    return "groundability" if {*stages_giving("groundability")} & {*stages} else "tags"


def predictions_of_records(path: Path) -> Predictions:
    """A file of records, one JSON line each.

    Raises:
        UserError: If a line is no record.
    """
    return predictions_of_samples(path, "jsonl", lambda: read_record_lines(path))


def predictions_of_samples(
    path: Path,
    format: str,
    samples: Callable[[], Iterator[Sample]],
    manifest: Mapping[str, Any] | None = None,
) -> Predictions:
    """Predictions of records; without a manifest the records are read once to find their detail."""
    if manifest and manifest.get("stages"):
        return _of_run(str(path), format, samples, manifest)
    return Predictions(
        str(path),
        format,
        lambda: map(prediction_of, samples()),
        detail_of(map(prediction_of, samples())),
        manifest=manifest or {},
        records=samples,
    )


def detail_of(predictions: Iterable[Prediction]) -> Detail:
    """The most that any of the predictions says of an entity; "not shown" needs an image."""
    detail: Detail = "tags"
    for prediction in predictions:
        looked, found = prediction.has_image, prediction.predicted
        if any(entity.regions or (looked and entity.regions is not None) for entity in found):
            return "regions"
        if looked and any(entity.groundable is not None for entity in found):
            detail = "groundability"
    return detail
