"""JSON as people save it: arrays, indented objects, compressed files, values of data frames."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.types import Gold, GoldEntity, Sample, Span

POSTS = [{"id": "1", "text": "hello Oslo"}, {"id": "2", "text": "hello Rome"}]


def read(folder: Path, content: str | bytes, name: str = "posts.jsonl") -> list[Sample]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(open_dataset(path).samples())


@pytest.mark.parametrize("name", ["posts.jsonl", "posts.json", "posts.ndjson", "POSTS.JSON"])
@pytest.mark.parametrize(
    "content",
    [
        json.dumps(POSTS),
        json.dumps(POSTS, indent=2),
        "\ufeff \n" + json.dumps(POSTS, indent=1),
        "".join(json.dumps(post) + "\n" for post in POSTS),
        "\n\n".join(json.dumps(post, indent=2) for post in POSTS),
        '{"id": "1",\n "text": "hello Oslo"}\n{"id": "2", "text":\n"hello Rome"}',
    ],
    ids=["line", "indented", "marked", "lines", "objects", "broken objects"],
)
def test_arrays_and_objects_are_posts(tmp_path: Path, content: str, name: str) -> None:
    assert [(one.id, one.text) for one in read(tmp_path, content, name)] == [
        ("1", "hello Oslo"),
        ("2", "hello Rome"),
    ]


def test_a_row_of_an_array_that_is_no_object_is_an_issue_of_its_own(tmp_path: Path) -> None:
    first, bad, last = read(tmp_path, '[{"text": "a"},\n 3,\n {"text": "b"}]')
    assert (first.id, last.id, last.text) == ("row-1", "row-3", "b")
    assert bad.issues[0].message == "posts.jsonl: row 2: expected an object, found int"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[\n{"text": "a"},\n', "begins as an array and is none"),
        ('[{"text": "a"}\n{"text": "b"}]', "begins as an array and is none"),
        ('[\n{"text": "\udcff"}\n]', "is not UTF-8 at byte"),
        ('{"data": [{"text": "a"}]}', "its rows stand in 'data'; save that array as a file"),
        ('{\n "data": [\n {"text": "a"}]\n}', "its rows stand in 'data'; save that array as a"),
        (
            '{"id": {"0": 1, "1": 2}, "text": {"0": "a", "1": "b"}}',
            "one object holds whole columns",
        ),
        ('{\n"id": [1, 2],\n"text": ["a", "b"]}', r'whole columns; .*in pandas, orient="records"'),
        ('{"columns": ["text"], "index": [0], "data": [["a"]]}', "holds names and cells apart"),
        ('{"meta": [{}], "x": 1}', "its rows stand in 'meta'"),
        ('{"meta": ["a"], "x": 1}', "has neither a column text nor tokens; found 'meta'"),
    ],
)
def test_documents_that_are_no_posts_are_one_line(
    tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, content.encode("utf-8", "surrogateescape"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("first", ["[1, 2]", "{not json", '{"text": "cut', "[" * 100_000, "7"])
def test_a_bad_first_line_does_not_spoil_the_others(tmp_path: Path, first: str) -> None:
    bad, good = read(tmp_path, f'{first}\n{{"id": "b", "text": "fine"}}\n')
    assert (bad.id, bad.issues[0].kind) == ("line-1", "bad-json")
    assert (good.id, good.issues) == ("b", ())


@pytest.mark.parametrize(
    "name", ["posts.jsonl.gz", "posts.json.gz", "posts.jsonl", "POSTS.JSONL.GZ"]
)
def test_compressed_files_are_read_whatever_they_are_called(tmp_path: Path, name: str) -> None:
    content = "".join(json.dumps(post) + "\n" for post in POSTS).encode()
    assert [one.id for one in read(tmp_path, gzip.compress(content), name)] == ["1", "2"]
    assert open_dataset(tmp_path / name).name.lower() == "posts"


@pytest.mark.parametrize("key", ["id", "image", "caption", "entities", "tokens", "offsets"])
def test_nan_is_a_missing_value(tmp_path: Path, key: str) -> None:
    (with_nan,) = read(tmp_path, f'{{"text": "hello Oslo", "{key}": NaN}}')
    (without,) = read(tmp_path, '{"text": "hello Oslo"}')
    assert with_nan == without


def test_nan_is_no_text(tmp_path: Path) -> None:
    (sample,) = read(tmp_path, '{"id": "a", "text": NaN}')
    assert [issue.kind for issue in sample.issues] == ["missing-text"]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("1.0", "1"),
        ("-3.0", "-3"),
        ("1e3", "1000"),
        ("9007199254740991.0", "9007199254740991"),
        ("1294030472427835393", "1294030472427835393"),
        ("9007199254740992.0", None),
        ("1.2942E+18", None),
        ("1.5", None),
        ("Infinity", None),
        ("true", None),
    ],
)
def test_whole_floats_below_the_first_inexact_one_are_ids(
    tmp_path: Path, number: str, expected: str | None
) -> None:
    (sample,) = read(tmp_path, f'{{"id": {number}, "text": "a"}}')
    assert sample.id == (expected or "line-1")
    assert [issue.kind for issue in sample.issues] == ([] if expected else ["bad-id"])


@settings(deadline=None)
@given(st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1))
def test_a_float_id_is_the_id_of_the_integer(number: int) -> None:
    with TemporaryDirectory() as folder:
        rows = [{"id": float(number), "text": "a"}, {"id": number + 2**60, "text": "a"}]
        (sample, _) = read(Path(folder), "".join(json.dumps(row) + "\n" for row in rows))
    assert sample.id == str(number)


def test_ids_of_parquet_that_became_floats(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra data")
    parquet = pytest.importorskip("pyarrow.parquet")
    nan = float("nan")
    columns: list[tuple[list[Any], list[str]]] = [
        ([1.0, 2.0, nan], ["1", "2", "row-3"]),
        ([1.0, None, 3.0], ["1", "row-2", "3"]),
        ([2.0**60, 1.5, 7.0], ["row-1", "row-2", "7"]),
        ([Decimal(7), Decimal(2**60), None], ["7", str(2**60), "row-3"]),
    ]
    for number, (ids, expected) in enumerate(columns):
        path = tmp_path / f"{number}.parquet"
        parquet.write_table(pa.table({"id": ids, "text": ["a", "b", "c"]}), path)
        assert [sample.id for sample in open_dataset(path).samples()] == expected


@pytest.mark.parametrize("as_text", [False, True])
def test_entities_of_data_frames(tmp_path: Path, as_text: bool) -> None:
    entity = {"label": "LOC", "start": 1.0, "end": 2.0, "fine_label": float("nan"), "text": None}
    column: object = [{**entity, "boxes": float("nan")}]
    row = {"id": "a", "text": "hello Oslo", "entities": json.dumps(column) if as_text else column}
    path = tmp_path / "posts.jsonl"
    path.write_text(json.dumps(row) + "\n")
    (gold,) = open_dataset(path).gold()
    assert gold == Gold("a", (GoldEntity("Oslo", "LOC", Span(1, 2)),))


def test_twitters_own_entities_can_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "tweets.jsonl"
    tweet = {
        "id": 1294030472427835393,
        "id_str": "1294030472427835393",
        "full_text": "hello Oslo",
        "entities": {"hashtags": []},
    }
    path.write_text(json.dumps(tweet) + "\n")
    with pytest.raises(UserError, match="found column 'full_text', expected 'text'"):
        open_dataset(path)
    columns = {"text": "full_text", "id": "id_str", "entities": None}
    dataset = open_dataset(path, columns=columns)
    assert not dataset.has_gold
    assert [(one.id, one.text) for one in dataset.samples()] == [
        ("1294030472427835393", "hello Oslo")
    ]


def test_a_chosen_key_may_occur_late(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    rows = [{"tweet": "a"}] * 300 + [{"tweet": "b", "photo": "b.jpg"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    samples = list(open_dataset(path, columns={"text": "tweet", "image": "photo"}).samples())
    assert samples[-1].image is not None
    with pytest.raises(UserError, match="no column 'photos', which is chosen for image; did you"):
        open_dataset(path, columns={"text": "tweet", "image": "photos"})


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ('{"text": "a"}\r{"text": "b"}\r', "; CR alone ends no line: save the file with LF"),
        ('{"text": "a"}{"text": "b"}\n', "; one object a line: a line break is missing between }"),
        ('{"text": "a"},\n{"text": "b"}\n', "; no comma ends a line of JSON lines"),
    ],
)
def test_what_is_too_much_in_a_line_is_named(tmp_path: Path, content: str, hint: str) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(content.encode())
    first = next(iter(open_dataset(path).samples()))
    assert hint in first.issues[0].message


@pytest.mark.parametrize("content", ['{"id": 1, "text": "a"}\n', '[{"text": "a"}]'])
def test_json_in_a_csv_file_is_said(tmp_path: Path, content: str) -> None:
    path = tmp_path / "posts.csv"
    path.write_text(content)
    with pytest.raises(
        UserError, match=r"posts\.csv:1: is JSON and no header; name the file \.json"
    ):
        open_dataset(path)
