"""``riveg status``: how far a run is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from riveg.cli.visible import counted, visible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from riveg.runs.status import RunStatus, StageStatus

_SECONDS_BETWEEN_LOOKS = 2.0


def status(
    folder: Path = typer.Argument(metavar="RUN", help="A run folder."),
    watch: bool = typer.Option(False, "--watch", help="Look again until the run ends."),
    json_file: str | None = typer.Option(
        None, "--json", metavar="FILE", help="Write it as JSON; - prints it instead."
    ),
) -> None:
    """Say how far a run is. Reads its folder alone, while it runs or after it was killed."""
    from rich.live import Live

    from riveg.cli.json_output import write_json
    from riveg.cli.tables import stdout
    from riveg.runs.status import run_status

    console = stdout()
    prints = json_file != "-"
    found = _when_begun(folder) if watch else run_status(folder)
    if prints and watch and console.is_terminal:
        with Live(status_page(found), console=console, auto_refresh=False) as live:
            for later in _until_end(found):
                found = later
                live.update(status_page(found), refresh=True)
    else:
        if prints:
            console.print(status_page(found))
        if watch and found.state == "running":
            *_, found = _until_end(found)
            if prints:
                console.print(status_page(found))
    if json_file is not None:
        write_json(found, json_file)


def _when_begun(folder: Path) -> RunStatus:
    """Waits as long as a run reads its input."""
    from riveg.runs.status import InputUnderWay, run_status

    is_told = False
    while True:
        try:
            return run_status(folder)
        except InputUnderWay as news:
            if not is_told:
                typer.echo(visible(f"riveg: {news}"), err=True)
            is_told = True
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _until_end(found: RunStatus) -> Iterator[RunStatus]:
    """Looks again and again until the run does not go on any more."""
    from riveg.runs.status import run_status

    while found.state == "running":
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        found = run_status(found.folder)
        yield found


def status_page(found: RunStatus) -> RenderableType:
    """How far a run is, for a terminal of 80 columns."""
    from rich.console import Group

    from riveg.cli.accounts import account_table
    from riveg.cli.tables import bare_table, plain

    table = bare_table()
    table.add_column("stage")
    table.add_column("backend")
    for name in ("parts", "samples", "samples/s", "workers", "left"):
        table.add_column(name, justify="right")
    for stage in found.stages:
        table.add_row(*map(plain, _cells(stage, found)))
    spent = [account_table(found.accounts)] if found.accounts else []
    return Group(plain(_first_line(found)), table, *spent, *map(plain, _last_lines(found)))


def _first_line(found: RunStatus) -> str:
    where = f" (process {found.process})" if found.process else ""
    what = f"{found.system} on {found.data}, {counted(found.samples, 'sample')}"
    advice = "; give the same command again" if found.state == "stopped" else ""
    return f"{found.state}{where}: {what}{advice}"


def _cells(stage: StageStatus, found: RunStatus) -> tuple[str, ...]:
    left = stage.seconds_left if found.state == "running" else None
    return (
        stage.stage,
        stage.backend,
        f"{stage.parts}/{found.parts}",
        str(stage.samples),
        "" if stage.rate is None else f"{stage.rate:.1f}",
        "" if stage.workers is None else str(stage.workers),
        "" if not left else str(timedelta(seconds=round(left))),
    )


def _last_lines(found: RunStatus) -> list[str]:
    from riveg.cli.accounts import account_lines

    lines = [f"issues    {number} {kind}" for kind, number in found.issues.items()]
    if found.accounts:
        return [*account_lines(found.accounts), *lines]
    for asked in found.asked:
        tokens = (
            ""
            if asked.prompt_tokens is None
            else f", {asked.prompt_tokens} tokens sent, {asked.answer_tokens or 0} received"
        )
        answers = counted(asked.answers, "answer")
        lines.append(
            f"asked     {asked.model}: {counted(asked.requests, 'request')}, {answers}{tokens}"
        )
    return lines
