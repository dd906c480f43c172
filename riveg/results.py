"""Reading a finished run: its records, what each stage said of one sample, pictures drawn over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from riveg.errors import ImageFault, UserError
from riveg.images import ImageLoader
from riveg.overlay import draw_overlay
from riveg.records import decode, encode
from riveg.runs import RunFolder, StageFolder, write_atomically
from riveg.types import Sample

OVERLAYS = "overlays"
"""Folder of a run with the pictures that its answers are drawn over."""


@dataclass(frozen=True, slots=True)
class StageAnswer:
    """A sample as it was after one stage; ``backend`` is empty for the input."""

    stage: str
    backend: str
    sample: Sample


def read_records(folder: Path) -> Iterator[Sample]:
    """The records of a run's last stage, in input order.

    Raises:
        UserError: If the folder holds no finished run.
    """
    path = RunFolder(folder).records_path
    try:
        handle = path.open("rb")
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: not there; is {folder} a run folder, and has the run come to its end?"
        ) from error
    with handle:
        for number, line in enumerate(handle, start=1):
            yield decode(Sample, line.rstrip(b"\n"), where=f"{path}:{number}")


def stage_answers(folder: Path, sample_id: str) -> tuple[StageAnswer, ...]:
    """One sample after every stage that has answered it, the input first.

    Raises:
        UserError: If the run holds no such sample.
    """
    run = RunFolder(folder)
    stages = run.read_manifest().get("stages", {})
    folders = [("", run.input)]
    folders += [
        (values["backend"], run.stage(position, name))
        for position, (name, values) in enumerate(stages.items(), start=1)
    ]
    answers = []
    for backend, stage_folder in folders:
        sample = _find(stage_folder, sample_id)
        if sample is not None:
            answers.append(StageAnswer(stage_folder.stage, backend, sample))
    if not answers:
        raise UserError(
            f"{folder}: holds no sample {sample_id!r}; `riveg show run {folder}` lists them"
        )
    return tuple(answers)


def _find(folder: StageFolder, sample_id: str) -> Sample | None:
    # Records begin with their id, written by the same encoder.
    beginning = b'{"id":' + encode(sample_id) + b","
    for line in folder.lines():
        if line.startswith(beginning):
            return decode(Sample, line)
    return None


def write_overlays(folder: Path, most: int) -> int:
    """Draws at most so many answered pictures into ``overlays/``; how many were drawn."""
    roots = RunFolder(folder).read_manifest().get("image_roots", [])
    images = ImageLoader([Path(root) for root in roots])
    target = folder / OVERLAYS
    target.mkdir(exist_ok=True)
    for old in target.glob("[0-9][0-9][0-9][0-9][0-9]-*.png"):
        old.unlink()
    drawn = 0
    for number, sample in enumerate(read_records(folder)):
        if drawn == most:
            break
        if sample.image is None:
            continue
        try:
            picture = images.load(sample.image)
        except ImageFault:
            continue  # failed.jsonl has said why
        content = BytesIO()
        draw_overlay(picture, sample).save(content, "PNG")
        write_atomically(target / overlay_name(number, sample.id), [content.getvalue()])
        drawn += 1
    return drawn


def overlay_name(number: int, sample_id: str) -> str:
    """A file name that no id can lead out of its folder or make collide.

    >>> overlay_name(3, "../../etc/passwd")
    '00003-etc-passwd.png'
    """
    words = "-".join(re.findall(r"\w+", sample_id))
    # A file system counts bytes, not characters: 255 at most.
    return f"{number:05d}-{words.encode()[:80].decode(errors='ignore')}.png"
