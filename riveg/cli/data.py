"""``riveg data``: what a dataset holds, what is wrong with it, and copies of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from riveg.cli.data_options import COLUMN, KINDS
from riveg.cli.numbers import MOST_COUNTED
from riveg.cli.training_data import TrainerOptions, print_training_data, write_for_trainer
from riveg.cli.visible import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from riveg.datasets.check import Report, SplitCounts, TypeCounts

app = typer.Typer(no_args_is_help=True, help="Check and convert datasets.")

_DATA = typer.Argument(help=f"{KINDS}; several are read in order.")


@app.command()
def check(
    data: list[str] = _DATA,
    split: str | None = typer.Option(None, help="Only this split (default: all)."),
    images: Path | None = typer.Option(None, help="Folder that the pictures' paths start from."),
    column: list[str] = COLUMN,
    as_json: bool = typer.Option(False, "--json", help="Print everything as JSON."),
) -> None:
    """Count what a dataset holds. Finds what is wrong with it: exit code 1 if anything is."""
    import json
    from dataclasses import asdict

    from riveg.cli.tables import stdout
    from riveg.datasets.check import check as check_dataset
    from riveg.datasets.column_names import parse_choice
    from riveg.datasets.opening import open_dataset

    columns = parse_choice(column)
    report = check_dataset(open_dataset(data, split=split, images=images, columns=columns))
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=1))
    else:
        _print_report(stdout(), report)
    if report.defects:
        raise typer.Exit(1)


@app.command()
def convert(
    data: list[str] = _DATA,
    out: Path = typer.Option(help="The file to write; for a trainer, a new or empty folder."),
    to: str | None = typer.Option(
        None,
        help="jsonl or parquet (default: as --out ends); or rows for a trainer: ms-swift, "
        "llama-factory, trl or verl.",
    ),
    split: str | None = typer.Option(None, help="Only this split (default: all)."),
    images: Path | None = typer.Option(None, help="Folder that the pictures' paths start from."),
    column: list[str] = COLUMN,
    task: str | None = typer.Option(
        None,
        help="For a trainer: what a model is to learn, extract (default), ground, rerank or "
        "rewrite.",
    ),
    system: str | None = typer.Option(
        None,
        help="For a trainer: the system whose prompt, frame and types are learnt "
        "(default: e2e-gmner for extract, else one-vlm).",
    ),
    overrides: list[str] = typer.Option(
        [], "--set", metavar="STAGE.KEY=VALUE", help="Change that system; may be repeated."
    ),
    box_type: str | None = typer.Option(
        None, help="ms-swift: boxes in pixels (real, the default) or shares of the sides (norm1)."
    ),
    seed: int | None = typer.Option(
        None, min=0, max=MOST_COUNTED, help="Of the candidates of --task rerank (default: 1)."
    ),
    expressions: list[Path] = typer.Option(
        [], help="For --task rewrite: a run whose expressions are learnt; may be repeated."
    ),
) -> None:
    """Write a dataset with its gold. As one file, or as rows that a trainer reads.

    Exit code 1 if rows had to be left out.
    """
    from riveg.cli.tables import plain, stdout
    from riveg.datasets.column_names import parse_choice
    from riveg.datasets.convert import convert as convert_dataset
    from riveg.datasets.convert import kind_of
    from riveg.datasets.opening import open_dataset
    from riveg.errors import UserError
    from riveg.exports.trainers.forms import TRAINERS

    if to is not None and to in TRAINERS:
        options = TrainerOptions(to, task, system, overrides, box_type, seed, expressions)
        dataset = open_dataset(data, split=split, images=images, columns=parse_choice(column))
        print_training_data(write_for_trainer(dataset, out, options))
        return
    given: dict[str, object] = {"--task": task, "--system": system, "--set": overrides}
    given |= {"--box-type": box_type, "--seed": seed, "--expressions": expressions}
    for option in (option for option, value in given.items() if value not in (None, [])):
        raise UserError(f"{option}: only with --to {', '.join(TRAINERS)}")
    kind = kind_of(to or _ending(out), TRAINERS)
    dataset = open_dataset(data, split=split, images=images, columns=parse_choice(column))
    done = convert_dataset(dataset, out, kind)
    console = stdout()
    console.print(plain(f"{counted(done.rows, 'post')} written to {out}"), soft_wrap=True)
    if dataset.image_roots:
        roots = ", ".join(map(str, dataset.image_roots))
        console.print(plain(f"pictures stay in {roots}; give it as --images"), soft_wrap=True)
    for note in done.notes:
        console.print(plain(f"note: {note}"), soft_wrap=True)
    for issue in done.left_out:
        console.print(plain(f"left out: {issue.kind}: {issue.message}"), soft_wrap=True)
    if done.left_out:
        raise typer.Exit(1)


def _ending(out: Path) -> str:
    from riveg.errors import UserError

    if out.suffix.lower() not in {".jsonl", ".parquet"}:
        raise UserError(
            f"{out}: end it in .jsonl or .parquet, or say with --to which of them it is to be"
        )
    return out.suffix.lower().removeprefix(".")


def _print_report(console: Console, report: Report) -> None:
    from riveg.cli.tables import plain

    version = f" {report.version}" if report.version else ""
    console.print(plain(f"{report.dataset}{version}"), style="bold")
    console.print(_count_table(report))
    if report.has_gold:
        console.print()
        console.print(_type_table(report))
    if any(counts.by_fine_type for counts in report.splits.values()):
        console.print()
        console.print(_fine_type_table(report))
    for form, number in _forms(report).items():
        console.print(plain(f"{counted(number, 'mask')} as {form}"))
    for note in report.notes:
        console.print(plain(f"note: {note}"), soft_wrap=True)
    console.print()
    if not report.defects:
        console.print("no defects")
        return
    console.print(_defect_table(report))
    console.print(f"{counted(len(report.defects), 'defect')}; all of them: --json")


def _count_table(report: Report) -> Table:
    counts = report.splits.values()
    rows = {"samples": [f"{item.samples}" for item in counts]}
    if report.has_gold:
        rows["without entity"] = [f"{item.without_entity}" for item in counts]
        rows["entities"] = [f"{item.entities}" for item in counts]
    if report.has_boxes:
        rows["groundable mentions"] = [f"{item.groundable}" for item in counts]
        rows["boxes, by mention"] = [f"{item.boxes}" for item in counts]
        rows["most of one mention"] = [
            f"{max(item.boxes_per_mention, default=0)}" for item in counts
        ]
        rows["boxes in files"] = [f"{item.boxes_in_files}" for item in counts]
        rows["samples with file"] = [f"{item.with_file}" for item in counts]
    return _table("", list(report.splits), rows)


def _type_table(report: Report) -> Table:
    return _counted_table(report, "type", [counts.by_type for counts in report.splits.values()])


def _fine_type_table(report: Report) -> Table:
    """A row for each fine type; one for each type that has entities without a fine type."""
    splits = [_by_both_types(counts) for counts in report.splits.values()]
    return _counted_table(report, "fine type", splits)


def _by_both_types(counts: SplitCounts) -> dict[str, TypeCounts]:
    from riveg.datasets.check import TypeCounts
    from riveg.text.label_text import label_text

    found: dict[str, TypeCounts] = {}
    for label, total in counts.by_type.items():
        below = counts.by_fine_type.get(label, {})
        found |= {label_text(label, fine): number for fine, number in below.items()}
        without = total.entities - sum(one.entities for one in below.values())
        if without:
            groundable = total.groundable - sum(one.groundable for one in below.values())
            found[f"{label}, without"] = TypeCounts(without, groundable)
    return found


def _counted_table(report: Report, title: str, splits: Sequence[Mapping[str, TypeCounts]]) -> Table:
    rows = {}
    for name in sorted({name for split in splits for name in split}):
        rows[name] = [
            ("-" if item is None else f"{item.entities} ({item.groundable})")
            if report.has_boxes
            else str(item.entities if item else "-")
            for item in (split.get(name) for split in splits)
        ]
    corner = f"{title} (groundable)" if report.has_boxes else title
    return _table(corner, list(report.splits), rows)


def _table(corner: str, columns: list[str], rows: dict[str, list[str]]) -> Table:
    from riveg.cli.tables import bare_table, plain

    table = bare_table()
    table.add_column(corner)
    for column in columns:
        table.add_column(plain(column), justify="right")
    for name, cells in rows.items():
        table.add_row(plain(name), *cells)
    return table


def _defect_table(report: Report) -> Table:
    from collections import Counter

    from riveg.cli.tables import bare_table, plain

    table = bare_table()
    table.add_column("defect", no_wrap=True)
    table.add_column("number", justify="right", no_wrap=True)
    table.add_column("first", overflow="fold")
    first = {defect.kind: defect for defect in reversed(report.defects)}
    for kind, number in Counter(defect.kind for defect in report.defects).most_common():
        defect = first[kind]
        table.add_row(kind, str(number), plain(f"{defect.where}: {defect.message}"))
    return table


def _forms(report: Report) -> dict[str, int]:
    forms: dict[str, int] = {}
    for counts in report.splits.values():
        for form, number in counts.forms.items():
            forms[form] = forms.get(form, 0) + number
    return forms
