"""The option of every command that draws pictures with names in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from riveg.images.fonts import Fonts

FONT: Any = typer.Option(
    None,
    "--font",
    metavar="FILE",
    help="Font of names in pictures that need other letters than English.",
)


def open_fonts(font: Path | None) -> Fonts:
    """The user's font and those of this machine.

    Raises:
        UserError: If the user's is no font.
    """
    from riveg.images.fonts import Fonts

    return Fonts.named(font)


def print_font_note(fonts: Fonts) -> None:
    """Says on standard error which letters could not be drawn, if any."""
    from riveg.cli.visible import visible

    note = fonts.note()
    if note is not None:
        typer.echo(visible(f"riveg: note: {note}"), err=True)
