"""Tables of numbers, for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: the first column is words, the others are numbers, aligned to the right.

    Args:
        title: What it tells.
        columns: Their headings.
        rows: As many cells each.
        wordy: How many columns from the left are words.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    wordy: int = 1

    def table(self) -> Table:
        """For a terminal, without its title; cells are plain text."""
        from rich.table import Table

        from riveg.cli.tables import plain

        table = Table(box=None, header_style="dim", pad_edge=False)
        for position, column in enumerate(self.columns):
            is_words = position < self.wordy
            table.add_column(
                column,
                justify="left" if is_words else "right",
                overflow="fold",
                no_wrap=not is_words,
            )
        for row in self.rows:
            table.add_row(*map(plain, row))
        return table

    def print(self) -> None:
        """Prints it on stdout under its title."""
        from riveg.cli.tables import plain, stdout

        console = stdout()
        console.print()
        console.print(plain(self.title), style="bold")
        console.print(self.table())

    def markdown(self) -> str:
        """As a Markdown table under its title."""
        rules = ["---" if place < self.wordy else "---:" for place in range(len(self.columns))]
        lines = [self.columns, tuple(rules), *self.rows]
        return f"**{_cell(self.title)}**\n\n" + "".join(
            "| " + " | ".join(map(_cell, line)) + " |\n" for line in lines
        )


def _cell(text: str) -> str:
    from riveg.cli.visible import visible

    for character in "\\|`*_<[":
        text = text.replace(character, f"\\{character}")
    return visible(text)


def number(value: float | None, digits: int = 2) -> str:
    """A number with that many digits after the point; ``-`` for none."""
    return "-" if value is None else f"{value:.{digits}f}"


def with_interval(value: float, interval: Sequence[float]) -> str:
    """A percentage and from where to where it may lie.

    >>> with_interval(66.666, (50.0, 80.0))
    '66.67 [50.0, 80.0]'
    """
    low, high = (f"{end:.1f}".replace("100.0", "100") for end in interval)
    return f"{value:.2f} [{low}, {high}]"
