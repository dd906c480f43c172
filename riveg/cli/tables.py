"""Tables for the terminal; text of samples is shown as it is, never read as markup."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from riveg.cli.visible import visible
from riveg.geometry.boxes import box_text
from riveg.runs.run import StageReport
from riveg.stages.words import decision_text
from riveg.text.label_text import label_text
from riveg.types import Entity, Sample


class _Results(Console):
    def on_broken_pipe(self) -> None:
        # The reader, for example `head`, has closed the pipe; the command still does all its work.
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def stdout() -> Console:
    """The console for results; ids and paths have no colours of their own."""
    return _Results(highlight=False)


def plain(text: str) -> Text:
    """Text of a sample: control characters made visible, so that they cannot control a terminal."""
    return Text(visible(text))


def print_hanging(console: Console, line: str, indent: int) -> None:
    """Prints a line whose further lines, where it is too long for one, begin ``indent`` columns in.

    Args:
        console: Where.
        line: Its first ``indent`` characters are its heading.
        indent: In columns.
    """
    head, text = line[:indent], plain(line[indent:])
    for number, part in enumerate(text.wrap(console, max(1, console.width - indent))):
        part.rstrip()
        begin = plain(head) if number == 0 else Text(" " * indent)
        console.print(begin + part, soft_wrap=True)


_WIDTHS = {"entity": 19, "type": 7, "tag": 5, "shown": 8, "box": 19, "found by": 14}
"""Widths of an answer's columns: 80 in all, with an indent of two and one between columns."""

_FINE_WIDTHS = {**_WIDTHS, "entity": 15, "type": 17, "found by": 8}
"""The same where an entity has a fine type."""


def entity_table(samples: Iterable[Sample]) -> Group:
    """Every sample with its entities: type, score, shown or not, best box and what found it."""
    listed = list(samples)
    is_fine = any(entity.fine_label for sample in listed for entity in sample.entities or ())
    widths = [*(_FINE_WIDTHS if is_fine else _WIDTHS).values()]
    parts: list[RenderableType] = [_columns(list(map(Text, _WIDTHS)), widths, style="bold")]
    for sample in listed:
        heading = plain(f"{sample.id}  {sample.text[:200]}")
        heading.stylize("bold", 0, len(visible(sample.id)))
        heading.no_wrap, heading.overflow = True, "ellipsis"
        parts.append(heading)
        parts += [_columns(entity_cells(entity), widths) for entity in sample.entities or ()]
        if not sample.entities:
            parts.append(Padding(_nothing(sample), (0, 0, 0, 2)))
    return Group(*parts)


def _columns(cells: Sequence[Text], widths: Sequence[int], style: str = "") -> Padding:
    # One table for each row: the widths are fixed, and headings between rows take all columns.
    table = Table.grid(padding=(0, 1, 0, 0))
    for width in widths:
        table.add_column(width=width, overflow="fold", style=style)
    table.add_row(*cells)
    return Padding(table, (0, 0, 0, 2))


def _nothing(sample: Sample) -> Text:
    if sample.issues:
        return Text(visible(sample.issues[0].kind), style="red")
    return Text("no entity" if sample.entities == () else "not answered", style="dim")


def entity_cells(entity: Entity) -> tuple[Text, ...]:
    """Name, type, tag score, shown or not, the best region's box, and what found it: or a guess."""
    score = "" if entity.score is None else f"{entity.score:.2f}"
    label = label_text(entity.label, entity.fine_label)
    cells = (plain(entity.text), plain(label), Text(score), _shown(entity))
    return *cells, *_best_region(entity)


def _shown(entity: Entity) -> Text:
    if entity.entailment is None:
        return Text("?")
    return Text(decision_text(entity.entailment, "yes", "no"))


def _best_region(entity: Entity) -> tuple[Text, Text]:
    if entity.regions is None:
        return Text("?"), Text("")
    if not entity.regions:
        is_unseen = entity.entailment is not None and entity.entailment.is_unseen
        return Text("-", style="dim"), Text("nothing seen" if is_unseen else "")
    first, *others = entity.regions
    source = "guess" if first.guess else (first.source or "").rpartition(":")[2]
    return plain(box_text(first.box)), plain(f"{source} +{len(others)}" if others else source)


def stage_table(stages: Sequence[StageReport]) -> Table:
    """Seconds and samples a second of every stage of a run."""
    table = bare_table()
    table.add_column("stage")
    table.add_column("backend")
    for name in ("made", "kept", "issues", "seconds", "samples/s"):
        table.add_column(name, justify="right")
    for stage in stages:
        rate = f"{stage.made / stage.seconds:.1f}" if stage.made and stage.seconds else ""
        table.add_row(
            stage.stage,
            stage.backend,
            str(stage.made),
            str(stage.samples - stage.made),
            str(stage.issues),
            f"{stage.seconds:.2f}",
            rate,
        )
    return table


def bare_table() -> Table:
    """A table without lines, with bold headings."""
    return Table(box=None, header_style="bold", pad_edge=False)


class Rows:
    """A table of plain text, which is printed when all its rows are added."""

    def __init__(self, *columns: str) -> None:
        self._table = bare_table()
        for column in columns:
            self._table.add_column(column, overflow="fold")

    def add(self, *cells: str) -> None:
        """Adds a row."""
        self._table.add_row(*map(plain, cells))

    def print(self) -> None:
        """Prints the table on stdout."""
        stdout().print(self._table)
