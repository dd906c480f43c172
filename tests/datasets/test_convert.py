"""What convert writes is read back to the same samples and gold."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from helpers.hostile_tokens import HOSTILE, has_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from riveg.datasets.convert import convert, kind_of
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.files import shipped

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
"""Anything but halves of surrogate pairs: white space, NUL, marks and emoji too."""

EDGES = st.floats(-1e6, 1e6, allow_nan=False)
MASK = {
    "height": 3,
    "width": 4,
    "counts": coco.frPyObjects({"size": [3, 4], "counts": [5, 2, 5]}, 3, 4)["counts"].decode(),
    "source": None,
}


@st.composite
def entities(draw: st.DrawFn, length: int) -> list[dict[str, Any]]:
    found = []
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, length - 1))
        corner = (draw(EDGES), draw(EDGES))
        box = [*corner, corner[0] + 1.25, corner[1] + 10]
        entity = {
            "label": draw(WORDS.filter(bool)),
            "start": start,
            "end": draw(st.integers(start + 1, length)),
            "boxes": draw(st.sampled_from([None, [], [box], [box, box]])),
            "masks": draw(st.sampled_from([None, [], [MASK]])),
            "fine_label": draw(st.none() | WORDS),
        }
        if draw(st.booleans()):
            entity["text"] = draw(WORDS)
        found.append(entity)
    return found


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    row: dict[str, Any] = {"caption": draw(st.none() | WORDS), "image": draw(st.none() | WORDS)}
    if draw(st.booleans()):
        row["tokens"] = draw(st.lists(HOSTILE | WORDS, min_size=1).filter(has_text))
        row["entities"] = draw(entities(len(row["tokens"])))
    else:
        row["text"] = draw(WORDS) + "a word"
        row["entities"] = draw(st.none() | entities(1))
    return row


@pytest.mark.slow  # seconds
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(samples=st.lists(rows(), min_size=1, max_size=6))
def test_round_trip(kind: str, samples: list[dict[str, Any]]) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="needs the extra data")
    with TemporaryDirectory() as name:
        source, target = Path(name) / "posts.jsonl", Path(name) / f"copy.{kind}"
        numbered = [{"id": str(number), **row} for number, row in enumerate(samples)]
        source.write_text("".join(json.dumps(row) + "\n" for row in numbered))
        original = open_dataset(str(source))
        assert convert(original, target, kind_of(kind)).rows == len(samples)
        copy = open_dataset(str(target))
        assert list(copy.samples()) == list(original.samples())
        assert list(copy.gold()) == list(original.gold())
        assert (copy.has_gold, copy.has_boxes) == (original.has_gold, original.has_boxes)


@pytest.mark.slow  # seconds
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    posts=st.lists(
        st.lists(st.tuples(HOSTILE, st.sampled_from(["O", "B-A", "I-A"])), min_size=1).filter(
            lambda rows: has_text(token for token, _ in rows)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_tokens_of_conll_files_survive(kind: str, posts: list[list[tuple[str, str]]]) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="needs the extra data")
    with TemporaryDirectory() as name:
        folder = Path(name)
        text = "".join(
            f"IMGID:{number}\n" + "".join(f"{token}\t{tag}\n" for token, tag in rows) + "\n"
            for number, rows in enumerate(posts)
        )
        (folder / "test.txt").write_text(text, encoding="utf-8", newline="")
        (folder / "set.yaml").write_text("name: s\nformat: twitter-mner\ntext: {test: test.txt}\n")
        original = open_dataset(str(folder / "set.yaml"))
        target = folder / f"copy.{kind}"
        done = convert(original, target, kind_of(kind))
        assert (done.rows, done.left_out) == (len(posts), ())
        copy = open_dataset(str(target))
        assert list(copy.samples()) == list(original.samples())
        assert list(copy.gold()) == list(original.gold())
        assert [sample.tokens for sample in original.samples()] == [
            tuple(token for token, _ in rows) for rows in posts
        ]


def test_what_is_annotated_and_no_gold_is_said(tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("IMGID:1\nAnn\tB-PER\nLee\tPER\n")
    (tmp_path / "xml").mkdir()
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox>"
    objects = f"<object><name>Bob</name>{box}</object>" * 2
    (tmp_path / "xml" / "1.xml").write_text(f"<annotation>{objects}</annotation>")
    (tmp_path / "set.yaml").write_text(
        "name: s\nformat: twitter-gmner\ntext: {test: test.txt}\nxml: xml\n"
    )
    done = convert(open_dataset(str(tmp_path / "set.yaml")), tmp_path / "copy.jsonl", "jsonl")
    assert done.notes == (
        "annotated objects that belong to no entity, so they are not gold: 2 "
        "(riveg data check tells which)",
        "tags of the gold that are none, so they are read as O: 1 (riveg data check tells which)",
    )


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_the_quickstart_samples_survive(tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="needs the extra data")
    if not shipped("data", "quickstart", "txt").is_dir():
        pytest.skip("the quickstart posts are not here")
    original = open_dataset("quickstart")
    target = tmp_path / "new" / f"quickstart.{kind}"
    convert(original, target, kind_of(kind))
    copy = open_dataset(str(target), images=original.image_roots[0])
    assert list(copy.samples()) == list(original.samples())
    assert list(copy.gold()) == list(original.gold())
    assert copy.image_roots == original.image_roots
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_copy_without_gold_has_none(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("text\nhello\n")
    convert(open_dataset(str(tmp_path / "posts.csv")), tmp_path / "copy.jsonl", "jsonl")
    copy = open_dataset(str(tmp_path / "copy.jsonl"))
    assert not copy.has_gold
    assert "entities" not in (tmp_path / "copy.jsonl").read_text()


def test_rows_without_usable_text_are_left_out_and_returned(tmp_path: Path) -> None:
    (tmp_path / "posts.jsonl").write_text('{"text": "a"}\n{"text": ""}\n{\n{"text": "b"}\n')
    done = convert(open_dataset(str(tmp_path / "posts.jsonl")), tmp_path / "c.jsonl", "jsonl")
    assert done.rows == 2
    assert [issue.kind for issue in done.left_out] == ["empty-text", "bad-json"]
    copy = open_dataset(str(tmp_path / "c.jsonl"))
    assert [sample.id for sample in copy.samples()] == ["line-1", "line-4"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"id": 1, "text": "a"}\n{"id": 1, "text": "b"}\n', "'1' stands in"),
        ('{"text": "a", "entities": [{}]}\n', "posts.jsonl:1: entities"),
        ('{"text": "a"}\n' * 100 + '{"text": "a", "entities": []}\n', "has entities"),
    ],
    ids=["duplicate", "bad gold", "late gold"],
)
def test_a_failed_copy_leaves_nothing(tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / "posts.jsonl").write_text(lines)
    target = tmp_path / "copies" / "copy.jsonl"
    with pytest.raises(UserError, match=message):
        convert(open_dataset(str(tmp_path / "posts.jsonl")), target, "jsonl")
    assert list(target.parent.iterdir()) == []


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    source = tmp_path / "posts.jsonl"
    source.write_text('{"text": "a"}\n')
    with pytest.raises(UserError, match="is there already; choose another --out, or remove it"):
        convert(open_dataset(source), source, "jsonl")
    assert source.read_text() == '{"text": "a"}\n'


def test_targets_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "posts.jsonl").write_text('{"text": "a"}\n')
    dataset = open_dataset(str(tmp_path / "posts.jsonl"))
    with pytest.raises(UserError, match="cannot be written"):
        convert(dataset, tmp_path / "posts.jsonl" / "below.jsonl", "jsonl")
    with pytest.raises(UserError, match="did you mean parquet"):
        kind_of("parkett")
