"""``riveg predict``: one post."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from riveg.cli.visible import visible

if TYPE_CHECKING:
    from riveg.types import Sample


def predict(
    text: str = typer.Option(..., help="The post's text."),
    image: Path | None = typer.Option(None, help="Its picture."),
    caption: str | None = typer.Option(None, help="What the picture shows, where you know it."),
    system: str = typer.Option("quickstart", help="A shipped system or a YAML file."),
    overrides: list[str] = typer.Option(
        [], "--set", metavar="STAGE.KEY=VALUE", help="Change the system; may be repeated."
    ),
    out: Path | None = typer.Option(None, help="Folder for the overlay PNG and the record."),
    as_json: bool = typer.Option(False, "--json", help="Print the record instead of the table."),
) -> None:
    """Find the entities of one post, and where they are in its picture."""
    from riveg.cli.tables import entity_table, stdout
    from riveg.errors import UserError
    from riveg.formats.records import encode
    from riveg.runs.system import load_system

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
        _write(sample, image, out, quiet=as_json)


def _write(sample: Sample, image: Path | None, out: Path, *, quiet: bool) -> None:
    from riveg.files import write_atomically
    from riveg.formats.records import encode
    from riveg.images.loader import ImageLoader
    from riveg.images.overlay import draw_overlay

    out.mkdir(parents=True, exist_ok=True)
    (out / "overlay.png").unlink(missing_ok=True)  # that of a former sample
    write_atomically(out / "record.json", [encode(sample), b"\n"])
    written = [out / "record.json"]
    if image is not None and sample.image is not None:
        pixels = ImageLoader([image.parent]).load(sample.image)
        draw_overlay(pixels, sample).save(out / "overlay.png")
        written.append(out / "overlay.png")
    if not quiet:
        typer.echo(visible("written " + ", ".join(map(str, written))))
