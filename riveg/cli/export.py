"""``riveg export``: a run in a format that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from riveg.cli.numbers import finite
from riveg.cli.places import opened

if TYPE_CHECKING:
    from riveg.exports.source import ExportReport, ExportSource


def export(
    run: Path = typer.Argument(help="A run folder.", callback=opened),
    format: str = typer.Option(
        help="smner, coco, labelstudio, parquet, png, voc, yolo-seg, jsonl or triples."
    ),
    out: Path = typer.Option(help="Folder to write to; new or empty."),
    mask: str | None = typer.Option(None, help="coco: masks as rle (default) or polygon."),
    tolerance: float | None = typer.Option(
        None,
        min=0.0,
        callback=finite,
        help="coco, yolo-seg: pixels that a simplified outline may be off.",
    ),
    copy_images: bool | None = typer.Option(
        None, "--copy-images", help="coco, voc, yolo-seg: copy the pictures."
    ),
    per_entity: bool | None = typer.Option(
        None, "--per-entity", help="png: also one two-colour mask an entity."
    ),
    embed: bool | None = typer.Option(
        None, "--embed/--no-embed", help="parquet: pictures in the file (default) or by path."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print what was written as JSON."),
) -> None:
    """Write what a run found in another program's format."""
    from dataclasses import asdict, replace

    from riveg.cli.json_output import write_json
    from riveg.cli.progress import RichProgress
    from riveg.errors import UserError
    from riveg.exports.document import SCHEMA, ExportDocument
    from riveg.exports.registry import export_run
    from riveg.exports.source import ExportSource

    if mask not in (None, "rle", "polygon"):
        raise UserError(f"--mask {mask}: expected rle or polygon")
    given = {
        "mask": mask,
        "tolerance": tolerance,
        "copy_images": copy_images,
        "per_entity": per_entity,
        "embed": embed,
    }
    options = {name: value for name, value in given.items() if value is not None}
    source = ExportSource.of_run(run)
    with RichProgress() as progress:
        progress.begin(format, total=None)
        watched = replace(source, on_record=lambda: progress.advance(1, 0))
        report = export_run(watched, format, out, options)
    if as_json:
        write_json(ExportDocument(SCHEMA, format, out, **asdict(report)), "-")
    else:
        _print_report(format, source, out, report)


def _print_report(format: str, source: ExportSource, out: Path, report: ExportReport) -> None:
    from rich.table import Table

    from riveg.cli.tables import plain, stdout

    console = stdout()
    limit = source.manifest.get("limit")
    note = f" (partial: the run was over --limit {limit})" if limit else ""
    console.print(plain(f"{format}: {source.folder} written to {out}{note}"), soft_wrap=True)
    for path in report.files:
        shown = f"{path}/" if path.is_dir() else str(path)
        console.print(plain(f"  {shown}"), soft_wrap=True)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", min_width=8)
    table.add_column(overflow="fold")
    for what, number in report.counts.items():
        table.add_row(str(number), plain(what))
    if report.left_out:
        table.add_row("", "left out", style="bold")
    for what, number in report.left_out.items():
        table.add_row(f"{number} x", plain(what))
    console.print(table)
