"""``riveg train``: make a stage's model from annotated posts."""

from __future__ import annotations

from pathlib import Path

import typer

app = typer.Typer(no_args_is_help=True, help="Train a stage of the embedded systems.")

_CONFIG = typer.Argument(help="A YAML file, for example one of configs/train/.")
_OVERRIDES = typer.Option([], "--set", metavar="KEY=VALUE", help="Change the configuration.")


@app.command()
def tagger(config: Path = _CONFIG, overrides: list[str] = _OVERRIDES) -> None:
    """Fine-tune the embedded tagger. The best epoch is kept and exported as int8 ONNX."""
    from riveg.training.settings import read_settings
    from riveg.training.tagger import train_tagger
    from riveg.training.tagger_settings import TaggerTrainingConfig

    _print_card(
        train_tagger(read_settings(config, TaggerTrainingConfig, overrides), report=typer.echo)
    )


@app.command()
def entailer(config: Path = _CONFIG, overrides: list[str] = _OVERRIDES) -> None:
    """Train and calibrate the embedded entailment classifier."""
    from riveg.training.entailer import EntailerTrainingConfig, train_entailer
    from riveg.training.settings import read_settings

    _print_card(train_entailer(read_settings(config, EntailerTrainingConfig, overrides)))


@app.command("box-prior")
def box_prior(config: Path = _CONFIG, overrides: list[str] = _OVERRIDES) -> None:
    """Learn where entities of each type lie in a picture."""
    from riveg.training.box_prior import BoxPriorTrainingConfig, train_box_prior
    from riveg.training.settings import read_settings

    _print_card(train_box_prior(read_settings(config, BoxPriorTrainingConfig, overrides)))


def _print_card(folder: Path) -> None:
    """The model's card holds the figures that a person wants to see after training."""
    typer.echo((folder / "CARD.md").read_text(encoding="utf-8"))
    typer.echo(f"written {folder}")
