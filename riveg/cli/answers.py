"""What one stage answered about one sample, in lines a person wants to read."""

from __future__ import annotations

from collections.abc import Iterator

from riveg.cli.visible import counted
from riveg.runs.reading import StageAnswer
from riveg.stages.table import stage_named
from riveg.types import Sample


def stage_lines(answer: StageAnswer) -> Iterator[str]:
    """One line or more for every answer of this stage; its Issues are not among them."""
    stage = stage_named(answer.stage)
    if stage is None:
        yield from _input_lines(answer.sample)
        return
    for item in stage.per.split(answer.sample):
        yield from stage.describe(item)


def _input_lines(sample: Sample) -> Iterator[str]:
    yield counted(len(sample.tokens), "token")
    if sample.caption:
        yield f"caption: {sample.caption}"
