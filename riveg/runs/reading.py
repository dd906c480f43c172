"""Reading a finished run: its records, and what each stage said of one sample."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from riveg.errors import UserError
from riveg.files import open_regular
from riveg.formats.records import decode, encode
from riveg.formats.run_records import open_records
from riveg.images.loader import ImageLoader
from riveg.runs.folder import RunFolder, StageFolder, line_digest
from riveg.stores.files import local_folder
from riveg.types import Sample


@dataclass(frozen=True, slots=True)
class RanStage:
    """A stage of a run with its answers."""

    name: str
    backend: str
    folder: StageFolder


@dataclass(frozen=True, slots=True)
class StageAnswer:
    """A sample as it was after one stage; ``backend`` is empty for the input."""

    stage: str
    backend: str
    sample: Sample


def read_records(folder: Path, manifest: Mapping[str, Any] | None = None) -> Iterator[Sample]:
    """The records of a run's last stage, in input order.

    Args:
        folder: The run folder.
        manifest: What has been read of the run, where the records must be of that; ``None``: its
            manifest as it is now.

    Raises:
        UserError: If the folder holds no finished run, or other records than the run has written.
    """
    with open_records(folder, manifest) as handle:
        yield from _records(handle, RunFolder(folder).records_path)


def read_record_lines(path: Path) -> Iterator[Sample]:
    """The records of a file, one JSON line each; a byte order mark and empty lines are left out.

    Raises:
        UserError: If the file cannot be read, or a line is no record.
    """
    try:
        handle = open_regular(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    with handle:
        yield from _records(handle, path)


def _records(handle: IO[bytes], path: Path) -> Iterator[Sample]:
    for number, line in enumerate(handle, start=1):
        record = (line.removeprefix(BOM_UTF8) if number == 1 else line).strip()
        if record:
            yield decode(Sample, record, where=f"{path}:{number}")


def stage_answers(folder: Path, sample_id: str) -> tuple[StageAnswer, ...]:
    """One sample after every stage that has answered it, the input first.

    The run may be unfinished. Answers end with the first stage of which the folder holds those of
    another run: of other settings, or made from what the stage before does not say any more.

    Raises:
        UserError: If the run holds no such sample.
    """
    run = RunFolder(folder)
    manifest = run.read_manifest()
    found = _find(run.input, sample_id)
    if found is None:
        raise no_such_sample(folder, sample_id)
    answers = [StageAnswer("input", "", decode(Sample, found.line))]
    images = images_of(manifest)
    for stage in own_stages(run, manifest):
        answer = _find(stage.folder, sample_id)
        if answer is None or not _is_made_from(answer, found, images):
            break
        answers.append(StageAnswer(stage.name, stage.backend, decode(Sample, answer.line)))
        found = answer
    return tuple(answers)


def stages_without_answers(folder: Path, answers: Sequence[StageAnswer]) -> tuple[str, ...]:
    """The stages of a run that have no answer among these, in their order."""
    answered = {answer.stage for answer in answers}
    ran = RunFolder(folder).read_manifest().get("stages", {})
    return tuple(name for name in ran if name not in answered)


def own_stages(run: RunFolder, manifest: Mapping[str, Any]) -> Iterator[RanStage]:
    """The stages of the manifest, up to the first whose parts are missing or of other settings."""
    for folder, values in run.stages(manifest):
        if folder.fingerprints() != {values.get("fingerprint")}:
            return
        yield RanStage(folder.stage, values["backend"], folder)


def images_of(manifest: Mapping[str, Any]) -> ImageLoader:
    """Opens the images that a run has looked at."""
    return ImageLoader(image_roots_of(manifest))


def image_roots_of(manifest: Mapping[str, Any]) -> tuple[Path, ...]:
    """Where the paths of a run's images start; of folders in a store, where their copies go.

    Raises:
        UserError: If a folder is in a store and cannot be copied from.
        MissingExtra: If the package for that kind of store is not installed.
    """
    return tuple(local_folder(root) for root in manifest.get("image_roots", []))


def no_such_sample(folder: Path, sample_id: str) -> UserError:
    """The error of a sample id that a run does not hold."""
    return UserError(
        f"{folder}: holds no sample {sample_id!r}; `riveg show run {folder}` lists them"
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """A record line, and the digest of what it was made from."""

    line: bytes
    made_from: str


def _find(folder: StageFolder, sample_id: str) -> _Found | None:
    # Records begin with their id, written by the same encoder.
    beginning = b'{"id":' + encode(sample_id) + b","
    for part in folder.parts():
        for made_from, line in zip(part.header.inputs, part.lines, strict=False):
            if line.startswith(beginning):
                return _Found(line, made_from)
    return None


def _is_made_from(answer: _Found, before: _Found, images: ImageLoader) -> bool:
    """Whether an answer is one to the record of the stage before, as that is now.

    A stage that looks at the image counts it in; where the image is gone, nobody can tell.
    """
    if answer.made_from == line_digest(before.line):
        return True
    image = decode(Sample, before.line).image
    stamp = "" if image is None else images.stamp(image)
    return not stamp or answer.made_from == line_digest(before.line + stamp.encode())
