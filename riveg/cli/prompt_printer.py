"""What every part of ``riveg prompt-debug``'s output is printed with."""

from __future__ import annotations

import os

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from riveg.cli.tables import plain
from riveg.cli.visible import visible
from riveg.prompt_debug.document import Named, PromptDebug

_WIDEST = 100
_LABEL = 10
"""Columns of the words in front of a line."""


class PromptPrinter:
    """Prints labelled lines, blocks and rules; at most 100 columns wide.

    Args:
        console: Where it prints.
        found: Knows the entities' names.
    """

    def __init__(self, console: Console, found: PromptDebug) -> None:
        self.console = console
        self._samples = {sample.id: sample for sample in found.posts}
        self.is_coloured = console.color_system is not None and not os.environ.get("NO_COLOR")
        console.width = min(console.width, _WIDEST)

    def name_of(self, sample_id: str, entity_id: str | None) -> Named:
        """An entity with its words and label; empty ones if it is not known."""
        sample = self._samples.get(sample_id)
        for entity in sample.entities if sample else ():
            if entity.id == entity_id:
                return entity
        return Named(entity_id or "", "", "")

    def line(self, label: str, text: str, style: str = "") -> None:
        """A line with a label in front."""
        self._print_grid(label, Text(visible(text, keep="\n")), style, 0, _LABEL)

    def indented(self, label: str, text: Text, style: str = "") -> None:
        """A line with a label in front, below a heading."""
        self._print_grid(label, text, style, 5, 2 if len(label) < 2 else 7)

    def _print_grid(self, label: str, text: Text, style: str, indent: int, width: int) -> None:
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(width=width - 1, no_wrap=True, style="dim")
        grid.add_column(overflow="fold", style=style)
        grid.add_row(plain(label), text)
        self.console.print(Padding(grid, (0, 0, 0, indent)))

    def block(self, text: str) -> None:
        """A text as it is, indented."""
        self.console.print(Padding(lines_of(text), (0, 0, 0, 2)))

    def rule(self, title: str, note: str = "") -> None:
        """A line across, with a title at its left and a note at its right."""
        width = self.console.width
        head = plain(title)
        head.truncate(max(10, width - len(note) - 8), overflow="ellipsis")
        fill = width - head.cell_len - len(note) - (6 if note else 4)
        line = Text("── ", style="dim") + Text.styled(head.plain, "bold")
        line.append(" " + "─" * max(2, fill), style="dim")
        if note:
            line.append(f" {note}", style="dim")
        self.console.print()
        self.console.print(line, no_wrap=True)


def lines_of(text: str) -> Text:
    """A text with its line ends, folded if it is too wide."""
    return Text(visible(text, keep="\n"), overflow="fold")
