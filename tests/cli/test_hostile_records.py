"""Records of others on a terminal: no control character of theirs reaches it."""

from __future__ import annotations

import inspect
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from helpers.command_line import riveg
from helpers.run_folders import make_run
from rich.console import Console

from riveg.cli import app
from riveg.cli.tables import entity_table
from riveg.errors import UserError
from riveg.formats.records import decode
from riveg.types import Box, Entailment, Entity, Issue, Region, Sample, Span

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m"


def hostile() -> Sample:
    entity = Entity(
        id=f"e{ESCAPES}",
        text=f"Ann{ESCAPES}",
        label=f"PER{ESCAPES}",
        span=Span(0, 1),
        entailment=Entailment(0.5, True, ESCAPES),
        regions=(Region(Box(0, 0, 5, 5), source=f"face:{ESCAPES}"),),
    )
    return Sample(f"a{ESCAPES}", f"Ann{ESCAPES}", ("Ann",), ((0, 3),), entities=(entity,))


def failed() -> Sample:
    return Sample("b", "Ann", ("Ann",), ((0, 3),), issues=(Issue(ESCAPES, None, ESCAPES, ESCAPES),))


@pytest.mark.parametrize("sample", [hostile(), failed()])
def test_a_table_shows_control_characters(sample: Sample) -> None:
    printed = io.StringIO()
    Console(file=printed, width=80).print(entity_table([sample]))
    assert printed.getvalue().replace("\n", "").isprintable()
    assert "\\x1b" in printed.getvalue()


@pytest.mark.slow
def test_no_command_that_reads_a_run_prints_them(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [hostile(), failed()], split=ESCAPES, limit=2)
    commands: tuple[tuple[str | Path, ...], ...] = (
        ("eval", run, "--gold", "quickstart"),
        ("show", "run", run),
        ("show", "run", run, "--id", hostile().id),
        ("export", run, "--format", "jsonl", "--out", tmp_path / "out"),
        ("compare", run, run, "--gold", "quickstart"),
    )
    for words in commands:
        done = riveg(*words)
        printed = done.stdout + done.stderr
        assert printed.strip(), words
        assert printed.replace("\n", "").isprintable(), (words, printed)
        assert "Traceback" not in printed, words


@pytest.mark.parametrize(
    "words",
    [
        ["eval", "RUN", "--iou", "nan"],
        ["eval", "RUN", "--mask-iou", "inf"],
        ["compare", "RUN", "RUN", "--iou", "nan"],
        ["export", "RUN", "--format", "coco", "--out", "x", "--tolerance", "inf"],
        ["run", "quickstart", "--max-error-rate", "nan"],
    ],
)
def test_bounds_that_are_no_numbers_are_refused(words: list[str]) -> None:
    done = riveg(*words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def options(commands: typer.Typer) -> Iterator[inspect.Parameter]:
    """Of all commands, those of groups too."""
    for command in commands.registered_commands:
        assert command.callback
        yield from inspect.signature(command.callback).parameters.values()
    for group in commands.registered_groups:
        assert group.typer_instance
        yield from options(group.typer_instance)


def test_every_count_has_a_largest_number() -> None:
    """Else it fills the memory, or is beyond what Python counts with."""
    counts = [one for one in options(app) if one.annotation in {"int", "int | None"}]
    assert len(counts) > 5
    assert [one.name for one in counts if one.default.max is None] == []


LINE = '{"id":"a","text":"Ann","tokens":["Ann"],"offsets":[[0,3]],%s}'
ENTITY = '"entities":[{"id":"e0","text":"Ann","label":"PER","span":{"start":0,"end":%s}%s}]'
BOX = ',"regions":[{"box":{"x_min":0,"y_min":0,"x_max":%s,"y_max":%s}}]'
MASK = ',"regions":[{"box":{"x_min":0,"y_min":0,"x_max":1,"y_max":1},"mask":%s}]'
LARGE = "1" + "0" * 400


@pytest.mark.parametrize(
    "fields",
    [
        '"image":{"path":"a","width":-5,"height":4}',
        '"image":{"path":"a","width":0,"height":4}',
        '"image":{"path":"a","width":1000000000000000000,"height":4}',
        f'"image":{{"path":"a","width":4,"height":{LARGE}}}',
        ENTITY % (LARGE, ""),
        ENTITY % (1, f',"score":{LARGE}'),
        ENTITY % (1, BOX % (LARGE, 1)),
        ENTITY % (1, BOX % ("1e300", "1e300")),
        ENTITY % (1, MASK % json.dumps({"height": -1, "width": 4, "counts": "0"})),
        ENTITY % (1, MASK % json.dumps({"height": 10**6, "width": 10**6, "counts": "0"})),
        ENTITY % (1, MASK % json.dumps({"height": 10**6, "width": 101, "counts": "0"})),
    ],
)
def test_numbers_of_records_are_bounded(fields: str) -> None:
    with pytest.raises(UserError, match=r"^record: not a Sample") as error:
        decode(Sample, LINE % fields)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300
