"""``riveg rewards``: what a reward would say, before a GPU is spent on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from riveg.cli.visible import counted

if TYPE_CHECKING:
    from rich.table import Table

    from riveg.rewards.distribution import RewardCheck

app = typer.Typer(no_args_is_help=True, help="Look at rewards for reinforcement learning.")


@app.callback()
def _group() -> None:
    """With a callback, a group of one command keeps its name."""


@app.command()
def check(
    file: Path = typer.Argument(help="A .jsonl or .json file of answers with their gold."),
    answer: str | None = typer.Option(
        None, metavar="COLUMN", help="The answer's column (default: recognised)."
    ),
    gold: str | None = typer.Option(
        None, metavar="COLUMN", help="The gold's column (default: recognised)."
    ),
) -> None:
    """Print how each part of the reward is distributed. Exit code 1 if it is in a trap."""
    from riveg.cli.tables import plain, stdout
    from riveg.rewards.distribution import check_rewards
    from riveg.rewards.rows import read_rows

    found = check_rewards(read_rows(file, answer=answer, gold=gold))
    console = stdout()
    unread = f", {found.unread} of them cannot be read" if found.unread else ""
    console.print(plain(f"{counted(found.answers, 'answer')}{unread}"), style="bold")
    console.print(_table(found))
    console.print()
    for trap in found.traps:
        console.print(plain(f"trap: {trap}"), soft_wrap=True)
    if found.traps:
        raise typer.Exit(1)
    console.print("no trap found")


def _table(found: RewardCheck) -> Table:
    from riveg.cli.tables import bare_table, plain

    table = bare_table()
    table.add_column("part")
    for column in ("mean", "deviation", "0", "below 0.5", "below 1", "1"):
        table.add_column(column, justify="right")
    for part in found.parts:
        shares = (part.zero, part.below_half, part.below_one, part.one)
        table.add_row(
            plain(part.name),
            f"{part.mean:.3f}",
            f"{part.deviation:.3f}",
            *(f"{100 * share:.0f} %" for share in shares),
        )
    return table
