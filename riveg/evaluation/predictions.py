"""What is scored: a run, a file of records, or what another system wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from riveg.evaluation.cases import Predicted, Tells, image_size, predicted_of
from riveg.runs.folder import RunFolder
from riveg.runs.reading import read_record_lines, read_records
from riveg.stages.table import stages_giving
from riveg.types import Sample


@dataclass(frozen=True, slots=True)
class Answer:
    """What a system said of one sample.

    Args:
        sample_id: Which one; ``None``: the next one in the order of the gold.
        predicted: The entities that it found.
        answered: Whether it answered at all.
        size: Width and height of the image, where known.
    """

    sample_id: str | None
    predicted: tuple[Predicted, ...]
    answered: bool = True
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Predictions:
    """Answers to be scored; they can be read any number of times.

    Args:
        name: Where they come from, for people.
        format: One of ``run``, ``jsonl``, ``smner``, ``riveg``, ``e2e``, ``tiger``, ``conll``.
        answers: Reads them, in their own order.
        tells: How far they go.
        stages: The stages that the system ran.
        manifest: What the run says of itself; empty where there is none.
        notes: What a reader of the scores should know.
        absent_is_empty: Whether a sample that they do not name was answered with nothing.
    """

    name: str
    format: str
    answers: Callable[[], Iterator[Answer]]
    tells: Tells = "regions"
    stages: tuple[str, ...] = ("tag", "entail", "ground")
    manifest: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    absent_is_empty: bool = False


def answer_of(sample: Sample) -> Answer:
    """A record as an answer."""
    return Answer(sample.id, predicted_of(sample), sample.entities is not None, image_size(sample))


def predictions_of_run(folder: Path) -> Predictions:
    """The records of a run folder.

    Raises:
        UserError: If it holds no finished run.
    """
    return _of_run(
        str(folder), "run", lambda: read_records(folder), RunFolder(folder).read_manifest()
    )


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
    tells: Tells = "tags"
    if {*stages_giving("regions")} & {*stages}:
        tells = "regions"
    elif {*stages_giving("groundability")} & {*stages}:
        tells = "groundability"
    return Predictions(
        name, format, lambda: map(answer_of, samples()), tells, stages, manifest, tuple(notes)
    )


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
    """Records that can be read any number of times; how far they go is found out from them."""
    if manifest and manifest.get("stages"):
        return _of_run(str(path), format, samples, manifest)
    return Predictions(
        str(path),
        format,
        lambda: map(answer_of, samples()),
        told_by(map(answer_of, samples())),
        manifest=manifest or {},
    )


def told_by(answers: Iterable[Answer]) -> Tells:
    """How far answers go, found out by reading them."""
    tells: Tells = "tags"
    for answer in answers:
        if any(entity.regions is not None for entity in answer.predicted):
            return "regions"
        if any(entity.groundable is not None for entity in answer.predicted):
            tells = "groundability"
    return tells
