"""Which checkpoints of a training were written to their end: a kill may leave a part of one."""

from __future__ import annotations

import math
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from riveg.errors import UserError, reason
from riveg.files import make_folder, write_atomically, writing

_FINISHED = "finished"
_WHOLE = "whole"
"""Holds the seconds of training; a checkpoint without it was not written to its end."""


@contextmanager
def reading_checkpoint(checkpoint: Path) -> Iterator[None]:
    """Whatever a damaged file of a checkpoint causes in the block becomes one line.

    Raises:
        UserError: Says which checkpoint to remove.
    """
    try:
        yield
    except Exception as error:  # pickles, JSON and safetensors each have their own
        # torch's own words advise to load the file without a guard.
        is_pickle = isinstance(error, pickle.UnpicklingError)
        why = "a file of torch is damaged" if is_pickle else reason(error)
        raise UserError(
            f"{checkpoint}: cannot be gone on with ({why}); remove that folder, then the "
            "same command goes on from the one before"
        ) from error


@contextmanager
def writing_checkpoint(checkpoint: Path) -> Iterator[None]:
    """Errors of the disk in the block become one line that names the checkpoint.

    Args:
        checkpoint: The folder that is written; made if it is not there.

    Raises:
        UserError: If it cannot be written, whichever library says so and how.
    """
    goes_on = has_checkpoint(checkpoint.parent)
    make_folder(checkpoint)
    with writing(checkpoint, goes_on=goes_on):
        try:
            yield
        except RuntimeError as error:
            _raise_if_a_file_is_the_cause(checkpoint, error, goes_on=goes_on)
            raise


def _raise_if_a_file_is_the_cause(checkpoint: Path, error: RuntimeError, *, goes_on: bool) -> None:
    # torch tells of a full disk by the line of its own code that noticed, and by no OSError.
    words = f"{error} {error.__context__}"
    if "inline_container" in words or "iostream error" in words:
        end = ": it goes on where it stopped" if goes_on else ""
        raise UserError(
            f"{checkpoint}: a file in it cannot be written to its end; make room, then give the "
            f"same command again{end}"
        ) from error


def mark_whole(checkpoint: Path, seconds: float) -> None:
    """Says that a checkpoint is whole, and how long the training took so far."""
    write_atomically(checkpoint / _WHOLE, [f"{seconds:.1f}\n".encode()])


def mark_finished(folder: Path, seconds: float) -> None:
    """Says that a training came to its end, and how long it took."""
    write_atomically(folder / _FINISHED, [f"{seconds:.1f}\n".encode()])


def is_finished(folder: Path) -> bool:
    """Whether the training in a folder came to its end."""
    return (folder / _FINISHED).exists()


def seconds_until(checkpoint: Path) -> float:
    """How long a training took up to a whole checkpoint.

    Raises:
        ValueError: If the file that says so is damaged.
    """
    return _read_seconds(checkpoint / _WHOLE)


def seconds_in_all(folder: Path) -> float:
    """How long a training took that came to its end.

    Raises:
        UserError: If the file that says so is damaged.
    """
    mark = folder / _FINISHED
    try:
        return _read_seconds(mark)
    except ValueError as error:
        raise UserError(f"{mark}: holds no seconds; remove it, then go on with --resume") from error


def seconds_below(work: Path) -> float:
    """How long all trainings in a folder took, each up to its last whole checkpoint or in all."""
    longest: dict[Path, float] = {}
    for mark in work.rglob(f"checkpoint-*/{_WHOLE}"):
        training = mark.parent.parent
        longest[training] = max(longest.get(training, 0.0), _seconds(mark))
    for mark in work.rglob(_FINISHED):
        longest[mark.parent] = _seconds(mark)
    return sum(longest.values())


def _seconds(mark: Path) -> float:
    try:
        return _read_seconds(mark)
    except ValueError:
        return 0.0  # whoever goes on after it says that it is damaged


def _read_seconds(mark: Path) -> float:
    seconds = float(mark.read_text(encoding="utf-8"))
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{seconds} is no duration")
    return seconds


def last_whole(folder: Path) -> Path | None:
    """The last checkpoint that was written to its end; what a kill left of another is removed."""
    found = (path for path in folder.glob("checkpoint-*") if path.name[11:].isdecimal())
    checkpoints = sorted(found, key=step_of)
    for path in checkpoints:
        if not (path / _WHOLE).exists():
            shutil.rmtree(path)
    return next((path for path in reversed(checkpoints) if path.exists()), None)


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def has_checkpoint(folder: Path) -> bool:
    """Whether a training in ``folder`` can be gone on with."""
    return any(folder.glob(f"checkpoint-*/{_WHOLE}")) or is_finished(folder)
