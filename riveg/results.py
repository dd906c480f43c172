"""Reading a finished run: its records, what each stage said of one sample, pictures drawn over."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL.Image import Image

from riveg.errors import ImageFault, UserError
from riveg.images import ImageLoader
from riveg.overlay import draw_overlay
from riveg.palette import is_usual, type_colours
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
    if not path.is_file():
        raise UserError(
            f"{path}: not there; is {folder} a run folder, and has the run come to its end?"
        )
    return read_record_lines(path)


def read_record_lines(path: Path) -> Iterator[Sample]:
    """The records of a file, one JSON line each; a byte order mark and empty lines are left out.

    Raises:
        UserError: If the file cannot be read, or a line is no record.
    """
    try:
        handle = path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    with handle:
        for number, line in enumerate(handle, start=1):
            record = (line.removeprefix(BOM_UTF8) if number == 1 else line).strip()
            if record:
                yield decode(Sample, record, where=f"{path}:{number}")


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
        raise _no_such_sample(folder, sample_id)
    return tuple(answers)


def _no_such_sample(folder: Path, sample_id: str) -> UserError:
    return UserError(
        f"{folder}: holds no sample {sample_id!r}; `riveg show run {folder}` lists them"
    )


def _find(folder: StageFolder, sample_id: str) -> Sample | None:
    # Records begin with their id, written by the same encoder.
    beginning = b'{"id":' + encode(sample_id) + b","
    for line in folder.lines():
        if line.startswith(beginning):
            return decode(Sample, line)
    return None


def write_overlays(folder: Path, most: int) -> int:
    """Draws at most so many answered pictures into ``overlays/``; how many were drawn."""
    images = _pictures_of(folder)
    target = folder / OVERLAYS
    target.mkdir(exist_ok=True)
    for old in target.glob("[0-9][0-9][0-9][0-9][0-9]-*.png"):
        old.unlink()
    colours: dict[str, str] | None = None
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
        if colours is None and _has_unusual_labels(sample):
            colours = _colours_of(folder)
        overlay = draw_overlay(picture, sample, colours)
        write_atomically(target / overlay_name(number, sample.id), [_png(overlay)])
        drawn += 1
    return drawn


def write_overlay(folder: Path, sample_id: str, path: Path) -> None:
    """Draws one answered picture, as ``overlays/`` and the report do, into a PNG file.

    Raises:
        UserError: If the run holds no such sample, it has no picture or one that cannot be read, or
            ``path`` is not to be written: its name is not a PNG file's, or it is something else.
    """
    if path.suffix.lower() != ".png":
        raise UserError(f"{path}: the picture is written as PNG; give a name that ends in .png")
    if path.exists() and not _is_png(path):
        raise UserError(f"{path}: is there and is no PNG file; choose another name")
    write_atomically(path, [_png(draw_sample(folder, sample_id))])


def draw_sample(folder: Path, sample_id: str) -> Image:
    """One sample's picture with what the run answered, RGB, in the colours of the whole run.

    Raises:
        UserError: If the run holds no such sample, or it has no picture or one that cannot be read.
    """
    sample = next((each for each in read_records(folder) if each.id == sample_id), None)
    if sample is None:
        raise _no_such_sample(folder, sample_id)
    if sample.image is None:
        raise UserError(f"{folder}: sample {sample_id!r} has no picture to draw on")
    try:
        picture = _pictures_of(folder).load(sample.image)
    except ImageFault as error:
        raise UserError(
            f"{folder}: the picture of sample {sample_id!r} cannot be used: {error}"
        ) from error
    colours = _colours_of(folder) if _has_unusual_labels(sample) else None
    return draw_overlay(picture, sample, colours)


def _pictures_of(folder: Path) -> ImageLoader:
    roots = RunFolder(folder).read_manifest().get("image_roots", [])
    return ImageLoader([Path(root) for root in roots])


def _has_unusual_labels(sample: Sample) -> bool:
    return not all(is_usual(entity.label) for entity in sample.entities or ())


def _colours_of(folder: Path) -> dict[str, str]:
    """The colour of every label of the run: all records are read."""
    return type_colours(
        entity.label for sample in read_records(folder) for entity in sample.entities or ()
    )


def _png(image: Image) -> bytes:
    content = BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def _is_png(path: Path) -> bool:
    try:
        with path.open("rb") as handle:
            return handle.read(8) == b"\x89PNG\r\n\x1a\n"
    except OSError:
        return False


def overlay_name(number: int, sample_id: str) -> str:
    """A file name that no id can lead out of its folder or make collide.

    >>> overlay_name(3, "../../etc/passwd")
    '00003-etc-passwd.png'
    """
    words = "-".join(re.findall(r"\w+", sample_id))
    # A file system counts bytes, not characters: 255 at most.
    return f"{number:05d}-{words.encode()[:80].decode(errors='ignore')}.png"
