"""``riveg train``: make a stage's model from annotated posts."""

from __future__ import annotations

import shlex
from pathlib import Path

import typer


def train(
    name: str = typer.Argument(help="What to train: `riveg show trainees`."),
    config: Path = typer.Argument(help="A YAML file, for example one of configs/train/."),
    overrides: list[str] = typer.Option(
        [], "--set", metavar="KEY=VALUE", help="Change the configuration; may be repeated."
    ),
    resume: bool = typer.Option(
        False, "--resume", help="Go on with a training that was interrupted."
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

    settings = read_settings(config, trainee_config(name), overrides)
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
