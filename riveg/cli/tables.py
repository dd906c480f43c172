"""Tables for the terminal; text from posts is shown as it is, never read as markup."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from riveg.cli.visible import visible
from riveg.execution import StageReport
from riveg.types import Box, Entity, Region, Sample


class _Results(Console):
    def on_broken_pipe(self) -> None:
        # A reader such as `head` has had enough: the work that is left is done all the same.
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def stdout() -> Console:
    """Where results go; ids and paths keep one colour."""
    return _Results(highlight=False)


def plain(text: str) -> Text:
    """Text from a post: control characters made visible, so that it cannot steer a terminal."""
    return Text(visible(text))


def entity_table(samples: Iterable[Sample]) -> Table:
    """Every entity of the samples with type, score, groundable or not, box and what found it."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("post", "entity", "type"):
        table.add_column(name, overflow="fold")
    table.add_column("score", justify="right")
    table.add_column("in picture", overflow="fold")
    table.add_column("box, evidence", overflow="fold")
    for sample in samples:
        for number, entity in enumerate(sample.entities or ()):
            table.add_row(plain(sample.id) if number == 0 else Text(""), *entity_cells(entity))
        if not sample.entities:
            table.add_row(plain(sample.id), _nothing(sample))
    return table


def _nothing(sample: Sample) -> Text:
    if sample.issues:
        return Text(sample.issues[0].kind, style="red")
    return Text("no entity" if sample.entities == () else "not answered", style="dim")


def entity_cells(entity: Entity) -> tuple[Text, ...]:
    """Name, type, score, groundable or not, and the regions."""
    score = "" if entity.score is None else f"{entity.score:.2f}"
    return plain(entity.text), plain(entity.label), Text(score), _shown(entity), _regions(entity)


def _shown(entity: Entity) -> Text:
    if entity.entailment is None:
        return Text("?")
    said = "yes" if entity.entailment.groundable else "no"
    probability = entity.entailment.probability
    return Text(said if probability is None else f"{said} {probability:.2f}")


def _regions(entity: Entity) -> Text:
    if entity.regions is None:
        return Text("?")
    if not entity.regions:
        return Text("-", style="dim")
    first = region_text(entity.regions[0])
    more = len(entity.regions) - 1
    return Text(first if not more else f"{first} +{more}")


def region_text(region: Region) -> str:
    """The box and what found it."""
    return f"{box_text(region.box)} {region.source or ''}".rstrip()


def box_text(box: Box) -> str:
    """``x_min,y_min,x_max,y_max`` in whole pixels."""
    return ",".join(f"{edge:.0f}" for edge in (box.x_min, box.y_min, box.x_max, box.y_max))


def stage_table(stages: Sequence[StageReport]) -> Table:
    """Seconds and samples a second of every stage of a run."""
    table = Table(box=None, header_style="bold", pad_edge=False)
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
