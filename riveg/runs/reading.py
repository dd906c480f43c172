"""Reading a finished run: its records, and what each stage said of one sample."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from riveg.errors import UserError
from riveg.formats.records import decode, encode
from riveg.runs.folder import RunFolder, StageFolder
from riveg.types import Sample


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
        raise no_such_sample(folder, sample_id)
    return tuple(answers)


def no_such_sample(folder: Path, sample_id: str) -> UserError:
    """The error of a sample id that a run does not hold."""
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
