"""``riveg train``: make a stage's model from annotated posts."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from riveg.cli.numbers import MOST_COUNTED
from riveg.errors import UserError

if TYPE_CHECKING:
    from riveg.training.config import TrainingConfig


def train(
    name: str = typer.Argument(help="What to train: `riveg show trainees`."),
    config: Path = typer.Argument(help="A YAML file, for example one of configs/train/."),
    overrides: list[str] = typer.Option(
        [], "--set", metavar="KEY=VALUE", help="Change the configuration; may be repeated."
    ),
    resume: bool = typer.Option(
        False, "--resume", help="Go on with a training that was interrupted."
    ),
    merge: bool = typer.Option(
        False, "--merge", help="vlm: write whole weights, not an adapter (--set merge=true)."
    ),
    show_jitter: int | None = typer.Option(
        None,
        "--show-jitter",
        min=0,
        max=MOST_COUNTED,
        metavar="N",
        help="vlm: train nothing; draw the moved boxes of N posts into OUT.jitter.",
    ),
) -> None:
    """Train a model from annotated posts.

    Its card says what came of it, and how it was made.
    Several GPUs: torchrun --nproc-per-node 4 -m riveg train NAME CONFIG.
    """
    from riveg.cli.progress import RichProgress
    from riveg.runs.progress import Silence
    from riveg.training.settings import read_settings
    from riveg.training.trainees import trainee_config
    from riveg.training.training import process_rank, train_model

    overrides = [*overrides, *(["merge=true"] if merge else [])]
    settings = read_settings(config, trainee_config(name), overrides)
    if show_jitter is not None:
        _show_jitter(settings, show_jitter)
        return
    changed = [part for item in overrides for part in ("--set", item)]
    command = shlex.join(["riveg", "train", name, str(config), *changed])
    if process_rank():
        train_model(settings, progress=Silence(), command=command, resume=resume)
        return
    with RichProgress() as progress:
        folder = train_model(settings, progress=progress, command=command, resume=resume)
    # The card holds the figures that a person wants to see after training.
    typer.echo((folder / "CARD.md").read_text(encoding="utf-8"))
    typer.echo(f"written {folder}")


def _show_jitter(settings: TrainingConfig, number: int) -> None:
    from riveg.training.vlm.jitter_sheet import jitter_sheet
    from riveg.training.vlm.settings import VlmSettings

    if not isinstance(settings, VlmSettings):
        raise UserError(f"--show-jitter: riveg train {settings.name} moves no boxes; vlm does")
    for line in jitter_sheet(settings, number).lines():
        typer.echo(line)
