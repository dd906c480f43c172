"""Expressions that a run has found are those of gold mentions with the same post and span."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.factories import make_sample
from helpers.report_runs import make_run

from riveg.errors import UserError
from riveg.training.data import AnnotatedSplit, read_annotated
from riveg.training.expressions import read_expressions
from riveg.types import Expression, Sample, Span


def split(folder: Path) -> AnnotatedSplit:
    """Two posts, three mentions."""
    rows = [
        {
            "id": "1",
            "text": "Ann in Rome",
            "entities": [
                {"label": "PER", "start": 0, "end": 1, "boxes": []},
                {"label": "LOC", "start": 2, "end": 3, "boxes": []},
            ],
        },
        {"id": "2", "text": "Bob", "entities": [{"label": "PER", "start": 0, "end": 1}]},
    ]
    (folder / "train.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    path = folder / "data.yaml"
    path.write_text("name: two\nformat: jsonl\ntext: {train: train.jsonl}\nlabels: [PER, LOC]\n")
    return read_annotated(str(path), "train")


def rewritten(text: str, *found: tuple[int, int, str | None], id: str = "1") -> Sample:
    """A post with entities of these spans and expressions."""
    sample = make_sample(text, [(start, end, "PER") for start, end, _ in found], id=id)
    entities = zip(sample.entities or (), found, strict=True)
    return replace(
        sample,
        entities=tuple(
            replace(one, expression=said, description=said and f"{said}, at length")
            for one, (_, _, said) in entities
        ),
    )


def run(folder: Path, *samples: Sample) -> Path:
    return make_run(folder, samples, images=folder.parent / "images", stages=("tag", "rewrite"))


def test_mentions_have_the_expression_of_their_post_and_span(tmp_path: Path) -> None:
    first = run(tmp_path / "a", rewritten("Ann in Rome", (0, 1, "a woman"), (2, 3, None)))
    second = run(tmp_path / "b", rewritten("Bob", (0, 1, "a man"), id="2"))
    found = read_expressions([first, second])
    assert found.of("1", Span(0, 1)) == "a woman"
    assert found.whole("2", Span(0, 1)) == Expression("a man", "a man, at length")
    for sample_id, span in (("1", Span(2, 3)), ("1", Span(0, 2)), ("3", Span(0, 1))):
        assert found.of(sample_id, span) is None, (sample_id, span)
    assert found.remark(split(tmp_path)) == (
        "two train: 2 of 3 mentions have an expression; of the others, for example 'Rome' of "
        "'1', the mention stands for it"
    )


def test_runs_that_cannot_be_used_are_told_in_one_line(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", rewritten("Ann in Rome", (0, 1, "a woman")))
    bare = run(tmp_path / "bare", rewritten("Ann in Rome", (0, 1, None)))
    cases: list[tuple[list[Any], str]] = [
        ([tmp_path / "none"], "none"),
        ([bare], "bare: its run has no expression"),
        ([whole, whole], "is about '1', as another run before it"),
    ]
    for folders, message in cases:
        with pytest.raises(UserError, match=message):
            read_expressions(folders)
    source = split(tmp_path)
    others = run(tmp_path / "others", rewritten("Ann in Paris", (0, 1, "a woman")))
    with pytest.raises(UserError, match="'1' has other words than in two train"):
        read_expressions([others]).remark(source)
    elsewhere = run(tmp_path / "elsewhere", rewritten("Eva", (0, 1, "a woman"), id="9"))
    with pytest.raises(UserError, match="no mention of two train has an expression"):
        read_expressions([elsewhere]).remark(source)
