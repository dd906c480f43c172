"""``riveg data convert`` for programs that train vision-language models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, get_args

import typer

from riveg.cli.visible import counted
from riveg.errors import UserError, suggest

if TYPE_CHECKING:
    from riveg.datasets.dataset import Dataset
    from riveg.exports.trainers.writing import TrainingData


@dataclass(frozen=True, slots=True)
class TrainerOptions:
    """What a user asked for; ``None`` is each option's default."""

    trainer: str
    task: str | None
    system: str | None
    overrides: Sequence[str]
    box_type: str | None
    seed: int | None
    expressions: Sequence[Path]


def write_for_trainer(dataset: Dataset, out: Path, options: TrainerOptions) -> TrainingData:
    """Writes the folder.

    Raises:
        UserError: As :func:`~riveg.exports.trainers.writing.write_training_data`, or for an option
            that is none.
    """
    from riveg.config.reader import load_config
    from riveg.exports.trainers.forms import BoxType
    from riveg.exports.trainers.rows import SYSTEMS
    from riveg.exports.trainers.writing import write_training_data
    from riveg.lessons.making import SEED, TaskName

    task: TaskName = _one_of("--task", options.task or "extract", get_args(TaskName))
    if options.seed is not None and task != "rerank":
        raise UserError("--seed: only with --task rerank, whose candidates are drawn")
    if bool(options.expressions) != (task == "rewrite"):
        raise UserError("--expressions: runs to learn from; --task rewrite needs some, no other")
    if options.box_type is not None and task in {"rerank", "rewrite"}:
        raise UserError(f"--box-type: answers of --task {task} hold no boxes")
    if options.box_type is not None and options.trainer != "ms-swift":
        raise UserError("--box-type: only with --to ms-swift")
    box_type: BoxType = _one_of("--box-type", options.box_type or "real", get_args(BoxType))
    config = load_config(options.system or SYSTEMS[task], options.overrides)
    return write_training_data(
        dataset,
        config,
        task,
        options.trainer,
        out,
        box_type=box_type,
        seed=SEED if options.seed is None else options.seed,
        expressions=options.expressions,
    )


Choice = TypeVar("Choice", bound=str)


def _one_of(option: str, value: str, known: tuple[Choice, ...]) -> Choice:
    for one in known:
        if one == value:
            return one
    raise UserError(f"{option} {value}: no such choice; {suggest(value, known)}")


def print_training_data(done: TrainingData) -> None:
    """Prints what was written.

    Raises:
        Exit: With code 1, if rows had to be left out.
    """
    from collections import Counter

    from riveg.cli.tables import plain, stdout

    console = stdout()
    for path, number in done.rows.items():
        console.print(plain(f"{counted(number, 'row')} written to {path}"), soft_wrap=True)
    for note in done.notes:
        console.print(plain(f"note: {note}"), soft_wrap=True)
    first = {issue.kind: issue.message for issue in reversed(done.left_out)}
    for kind, number in Counter(issue.kind for issue in done.left_out).most_common():
        line = f"left out: {number} {kind}, the first: {first[kind]}"
        console.print(plain(line), soft_wrap=True)
    if done.left_out:
        raise typer.Exit(1)
