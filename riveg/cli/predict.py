"""``riveg predict``: one post."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from riveg.cli.font_option import FONT, open_fonts, print_font_note
from riveg.cli.visible import visible

if TYPE_CHECKING:
    from riveg.images.fonts import Fonts
    from riveg.runs.prediction import Prediction


def predict(
    text: str = typer.Option(..., help="The post's text."),
    image: Path | None = typer.Option(None, help="Its picture."),
    caption: str | None = typer.Option(None, help="What the picture shows, where you know it."),
    system: str = typer.Option("quickstart", help="A shipped system or a YAML file."),
    overrides: list[str] = typer.Option(
        [], "--set", metavar="STAGE.KEY=VALUE", help="Change the system; may be repeated."
    ),
    out: Path | None = typer.Option(None, help="Folder for the overlay PNG and the record."),
    font: Path | None = FONT,
    as_json: bool = typer.Option(False, "--json", help="Print the record instead of the table."),
) -> None:
    """Find the entities of one post. Where its picture shows them, boxes and masks, too."""
    from riveg.cli.tables import entity_table, stdout
    from riveg.errors import UserError
    from riveg.formats.records import encode
    from riveg.runs.system import load_system

    fonts = open_fonts(font)
    with load_system(system, *overrides) as loaded:
        sample = loaded.predict(text=text, image=image, caption=caption)
    if sample.issues:
        issue = sample.issues[0]
        raise UserError(f"{issue.stage}: {issue.kind}: {issue.message}")
    if as_json:
        typer.echo(encode(sample))
    else:
        stdout().print(entity_table([sample]))
    if out is not None:
        _write(sample, out, fonts, quiet=as_json)


def _write(sample: Prediction, out: Path, fonts: Fonts, *, quiet: bool) -> None:
    from riveg.files import make_folder, write_atomically, writing
    from riveg.formats.records import encode

    make_folder(out)
    with writing(out / "overlay.png"):
        (out / "overlay.png").unlink(missing_ok=True)  # that of a former sample
    write_atomically(out / "record.json", [encode(sample), b"\n"])
    written = [out / "record.json"]
    if sample.image is not None:
        content = BytesIO()
        sample.draw(fonts).save(content, "PNG")
        write_atomically(out / "overlay.png", [content.getvalue()])
        print_font_note(fonts)
        written.append(out / "overlay.png")
    if not quiet:
        typer.echo(visible("written " + ", ".join(map(str, written))))
