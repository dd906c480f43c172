"""``riveg run``: a system over a dataset, into a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from riveg.cli.data_options import COLUMN, KINDS
from riveg.cli.font_option import FONT, open_fonts, print_font_note
from riveg.cli.numbers import MOST_COUNTED, finite
from riveg.cli.taken_predictions import TakenPredictions
from riveg.cli.visible import visible

if TYPE_CHECKING:
    from riveg.config.system import SystemConfig
    from riveg.datasets.dataset import Dataset
    from riveg.images.fonts import Fonts
    from riveg.runs.portion import Portion, Shard
    from riveg.runs.run import RunReport

_SHOWN = 40
"""Entities listed after a run; the rest is in the folder."""


def run(
    system: str = typer.Argument(help="A shipped system (`riveg show systems`) or a YAML file."),
    data: list[str] = typer.Option(
        [], metavar="DATA", help=f"{KINDS} for standard input; may be repeated: read in order."
    ),
    out: Path | None = typer.Option(
        None, help="Run folder, also s3://BUCKET/RUN (default: runs/SYSTEM-DATA, or -DATA-SPLIT)."
    ),
    split: str | None = typer.Option(None, help="Split of the dataset."),
    images: Path | None = typer.Option(None, help="Folder that the pictures' paths start from."),
    column: list[str] = COLUMN,
    limit: int | None = typer.Option(
        None, min=1, max=MOST_COUNTED, help="Only the first N samples."
    ),
    shard: str | None = typer.Option(
        None, metavar="K/N", help="Only every N-th part, for N machines; then `riveg merge`."
    ),
    until: str | None = typer.Option(None, help="Stop after this stage."),
    overrides: list[str] = typer.Option(
        [], "--set", metavar="STAGE.KEY=VALUE", help="Change the system; may be repeated."
    ),
    retry_failed: bool = typer.Option(
        False, "--retry-failed", help="Ask again about records with an Issue."
    ),
    max_error_rate: float | None = typer.Option(
        None,
        min=0.0,
        max=1.0,
        callback=finite,
        help="Exit with 1 above this share of samples with an Issue.",
    ),
    overlays: int | None = typer.Option(
        None, min=0, max=MOST_COUNTED, help="Draw the answers over the first N pictures."
    ),
    font: Path | None = FONT,
    dry: bool = typer.Option(
        False, "--dry-run", help="Ask no language model; count requests, tokens and cost."
    ),
    lock: Path | None = typer.Option(
        None, help="Refuse models with other files than these (default: models.lock, if there)."
    ),
    predictions: Path | None = typer.Option(
        None, "--from", help="Go on from these predictions, such as the system masks does."
    ),
    format: str | None = typer.Option(None, help="Of --from: as in riveg eval (default: auto)."),
    boxes: Path | None = typer.Option(None, help="Of --from: boxes beside RiVEG's text file."),
    proposals: Path | None = typer.Option(
        None, help="Of --from: folder of VinVL features, for TIGER's dump."
    ),
) -> None:
    """Run a system over a dataset. Interrupted, the same command goes on where it stopped."""
    from riveg.cli.progress import RichProgress
    from riveg.datasets.column_names import parse_choice
    from riveg.datasets.opening import open_dataset
    from riveg.errors import UserError
    from riveg.evaluation.recording import frame_notes
    from riveg.runs.portion import Portion, Shard
    from riveg.runs.reading import read_records
    from riveg.runs.stored import working_folder
    from riveg.runs.system import load_system
    from riveg.stages.table import stages_giving
    from riveg.stores.store import store_address

    fonts = open_fonts(font)
    taken = TakenPredictions.of(predictions, format, boxes, proposals)
    loaded = load_system(system, *overrides)
    config = loaded.config
    named = data or ([] if config.data is None else [config.data])
    if not named:
        raise UserError(f"{config.file}: names no data; say which with --data")
    source = open_dataset(named, split=split, images=images, columns=parse_choice(column))
    for note in source.notes:
        typer.echo(visible(f"riveg: {source.name}: {note}"), err=True)
    share = None if shard is None else Shard.parse(shard)
    stem = None if taken is None else taken.name
    folder = out or _folder_of(config.name, source.name, split, stem, share)
    notes = (*source.notes, *_model_notes(config, lock))
    with working_folder(folder, _say) as place:
        if taken is not None:
            setting, said = taken.write(config, source, place, share)
            loaded = load_system(system, *overrides, setting)
            config, notes = loaded.config, (*notes, *said)
        if dry:
            _count_requests(
                config, source, place, Portion(limit, share), until, retry_failed=retry_failed
            )
            return
        with RichProgress() as progress:
            report = loaded.run(
                source,
                out=place,
                limit=limit,
                shard=share,
                until=until,
                retry_failed=retry_failed,
                progress=progress,
            )
        drawn = config.run.overlays if overlays is None else overlays
        located = {*stages_giving("regions")} & {stage.stage for stage in report.stages}
        _print_report(
            report, until, Portion(limit, share), overlays=drawn if located else 0, fonts=fonts
        )
        if taken is not None:
            notes += frame_notes(read_records(report.folder))
        for note in (*notes, *report.notes):
            typer.echo(visible(f"note      {note}"))
    if place != folder:
        typer.echo(visible(f"stored    {store_address(folder)}"))
    allowed = config.run.max_error_rate if max_error_rate is None else max_error_rate
    if report.error_rate > allowed:
        raise typer.Exit(1)


def _say(line: str) -> None:
    typer.echo(visible(f"riveg: {line}"), err=True)


def _model_notes(config: SystemConfig, lock: Path | None) -> tuple[str, ...]:
    """What a user should know of the system's models, once they are the locked ones."""
    from riveg.checkpoints.fetching import locked_notes, pickle_notes
    from riveg.checkpoints.lock import LOCK

    usual = Path(LOCK) if Path(LOCK).is_file() else None
    named = lock or usual
    return (*pickle_notes(config), *(() if named is None else locked_notes(config, named)))


def _folder_of(
    system: str, data: str, split: str | None, predictions: str | None, share: Shard | None
) -> Path:
    """Where a run goes that names no folder; shares and predictions go apart."""
    from riveg.errors import UserError

    shown = None if share is None else f"{share.number}-of-{share.of}"
    name = "-".join(filter(None, (system, data, split, predictions, shown)))
    if not {"/", "\\"}.isdisjoint(name):
        raise UserError(f"{name!r}: is no name for a run folder; say where it goes with --out")
    return Path("runs") / name


def _count_requests(
    config: SystemConfig,
    source: Dataset,
    folder: Path,
    portion: Portion,
    until: str | None,
    *,
    retry_failed: bool,
) -> None:
    from riveg.cli.dry_run import print_dry_run
    from riveg.cli.progress import RichProgress
    from riveg.runs.dry_run import dry_run

    with RichProgress() as progress:
        found = dry_run(
            config,
            source,
            folder,
            limit=portion.limit,
            shard=portion.shard,
            until=until,
            retry_failed=retry_failed,
            progress=progress,
        )
    print_dry_run(found)


def _print_report(
    report: RunReport, until: str | None, portion: Portion, *, overlays: int, fonts: Fonts
) -> None:
    from riveg.cli.tables import entity_table, plain, stage_table, stdout
    from riveg.cli.visible import counted
    from riveg.runs.overlays import OVERLAYS, write_overlays
    from riveg.runs.reading import read_records

    console = stdout()
    if report.samples <= _SHOWN:
        console.print(entity_table([*read_records(report.folder)]))
    console.print(stage_table(report.stages))
    partial = []
    if portion.limit:
        partial.append(f"partial: --limit {portion.limit}")
    if portion.shard:
        partial.append(f"partial: --shard {portion.shard}")
    if until:
        partial.append(f"partial: --until {until}")
    note = f" ({'; '.join(partial)})" if partial else ""
    counts = (
        f"{counted(report.samples, 'sample')}, {counted(report.entities, 'entity', 'entities')}"
    )
    console.print(f"{counts}{note}")
    console.print(plain(f"records   {report.folder / 'records.jsonl'}"), soft_wrap=True)
    if overlays:
        drawn = write_overlays(report.folder, overlays, fonts)
        first = "" if drawn < overlays else "the first "
        text = f"pictures  {first}{drawn} in {report.folder / OVERLAYS}"
        console.print(plain(text), soft_wrap=True)
        print_font_note(fonts)
    if report.failed:
        console.print(
            plain(
                f"issues    {counted(report.failed, 'sample')} ({100 * report.error_rate:.1f} %), "
                f"reasons in {report.folder / 'failed.jsonl'}; mend them, then --retry-failed"
            ),
            soft_wrap=True,
        )
