"""JSON lines and CSV: what users have, and what they should not have."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from riveg.datasets.dataset import Dataset
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.types import Box, Gold, GoldEntity, Span

HOSTILE = [
    "{{ 7*7 }} {% for x in y %}",
    "<script>alert(1)</script>",
    "nul\0in the middle",
    "=cmd('calc')!A1",
    "+1 @SUM(A1) -2",
    "\u05e9\u05dc\u05d5\u05dd \u202ereversed\u202c",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 family",
    'quote " comma , semicolon ; and\nnew line\r\nand tab\t.',
    "x" * 1_000_000,
    "word " * 200_000,
    "\u2028line\u2029separators\x85\x0b\x0c",
]


def jsonl(folder: Path, *rows: object) -> Path:
    path = folder / "posts.jsonl"
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def sheet(folder: Path, header: list[str], *rows: list[str]) -> Path:
    path = folder / "posts.csv"
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([header, *rows])
    return path


def test_text_is_tokenised_and_tokens_are_joined(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path,
        {"id": "a", "text": "Hi @NASA!", "image": "a.jpg", "caption": "a rocket", "other": 1},
        {"id": 7, "tokens": ["Hi", "@", "NASA"]},
        {"text": "Hi  NASA", "tokens": ["Hi", "NASA"], "image": ""},
        {"text": "aa a", "tokens": ["a", "a"], "offsets": [[0, 1], [3, 4]]},
    )
    first, second, third, fourth = open_dataset(str(path)).samples()
    assert first.tokens == ("Hi", "@", "NASA", "!")
    assert [first.text[start:end] for start, end in first.offsets] == list(first.tokens)
    assert (first.image and first.image.path, first.caption) == ("a.jpg", "a rocket")
    assert (second.id, second.text, second.offsets) == ("7", "Hi @ NASA", ((0, 2), (3, 4), (5, 9)))
    assert (third.id, third.offsets, third.image) == ("line-3", ((0, 2), (4, 8)), None)
    assert fourth.offsets == ((0, 1), (3, 4))


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])
def test_hostile_text_is_text_in_both_formats(tmp_path: Path, text: str) -> None:
    lines = open_dataset(str(jsonl(tmp_path, {"id": text[:100], "text": text, "image": text})))
    cells = open_dataset(str(sheet(tmp_path, ["id", "text", "image"], [text[:100], text, text])))
    (from_line,) = lines.samples()
    (from_cell,) = cells.samples()
    assert from_line == from_cell
    assert from_line.text == text
    assert from_line.image
    assert from_line.image.path == text
    assert from_line.issues == ()
    assert [text[start:end] for start, end in from_line.offsets] == list(from_line.tokens)


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (b"{not json", "bad-json"),
        (b"[1, 2]", "bad-json"),
        (b'"text"', "bad-json"),
        (b"[" * 100_000, "bad-json"),
        (b'{"text": ' + b"1" * 5000 + b"}", "bad-json"),
        (b'{"text": "\xff"}', "bad-encoding"),
        (b'{"text": "a\xc3', "bad-encoding"),
        ({"image": "a.jpg"}, "missing-text"),
        ({"text": None}, "missing-text"),
        ({"text": ""}, "empty-text"),
        ({"text": " \t\u00a0 "}, "empty-text"),
        ({"tokens": []}, "empty-text"),
        ({"text": 5}, "bad-text"),
        ({"text": ["a"]}, "bad-text"),
        ({"text": "half \ud800 pair"}, "bad-text"),
        ({"tokens": "a b"}, "bad-tokens"),
        ({"tokens": ["a", 1]}, "bad-tokens"),
        ({"tokens": [" ", "", "\u3000"]}, "empty-text"),
        ({"tokens": ["a", "\ud800"]}, "bad-tokens"),
        ({"text": "a b", "tokens": ["b", "a"]}, "bad-tokens"),
        ({"text": "a b", "tokens": ["a"], "offsets": [[0, 2]]}, "bad-offsets"),
        ({"text": "a b", "tokens": ["a"], "offsets": [[-3, -2]]}, "bad-offsets"),
        ({"text": "a a", "tokens": ["a", "a"], "offsets": [[2, 3], [0, 1]]}, "bad-offsets"),
        ({"text": "a b", "tokens": ["a"], "offsets": ["01"]}, "bad-offsets"),
        ({"text": "a", "id": 1.5}, "bad-id"),
        ({"text": "a", "id": True}, "bad-id"),
        ({"text": "a", "id": "\udc00"}, "bad-id"),
        ({"text": "a", "image": 3}, "bad-image"),
        ({"text": "a", "image": {"bytes": "x"}}, "bad-image"),
        ({"text": "a", "image": "\udfff"}, "bad-image"),
        ({"text": "a", "caption": ["b"]}, "bad-caption"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value)[:30],
)
def test_a_bad_row_is_an_issue_and_the_next_row_is_read(
    tmp_path: Path, row: object, kind: str
) -> None:
    bad, good = open_dataset(str(jsonl(tmp_path, row, {"id": "b", "text": "fine"}))).samples()
    (issue,) = bad.issues
    assert (issue.stage, issue.entity_id, issue.kind) == ("input", None, kind)
    assert issue.message.startswith("posts.jsonl:1: ")
    assert len(issue.message) < 400
    issue.message.encode("utf-8")
    assert bad.id == "line-1"
    assert (good.id, good.issues) == ("b", ())


def test_a_bad_row_keeps_its_id_and_what_is_good_of_it(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"id": "a", "text": "", "image": "a.jpg"}, {"id": 2.5, "text": "Hi"})
    first, second = open_dataset(str(path)).samples()
    assert (first.id, first.image and first.image.path) == ("a", "a.jpg")
    assert (second.id, second.tokens) == ("line-2", ("Hi",))


def test_paths_are_kept_for_the_loader_to_refuse(tmp_path: Path) -> None:
    paths = ["../../etc/passwd", "/etc/passwd", "C:\\x.jpg", "http://example.org/x.jpg", "a\0.jpg"]
    rows = [{"text": "x", "image": path} for path in paths]
    samples = open_dataset(str(jsonl(tmp_path, *rows))).samples()
    assert [sample.image.path for sample in samples if sample.image] == paths


def test_a_byte_order_mark_and_blank_lines_are_nothing(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n\r\n{"text": "b"}')
    assert [sample.id for sample in open_dataset(str(path)).samples()] == ["line-1", "line-3"]
    path = tmp_path / "posts.csv"
    path.write_bytes(b"\xef\xbb\xbftext\r\na\r\n\r\nb\r\n")
    assert [sample.id for sample in open_dataset(str(path)).samples()] == ["line-2", "line-4"]


@pytest.mark.parametrize("name", ["posts.jsonl", "posts.csv"])
def test_two_rows_of_one_id_are_refused_with_both_lines(tmp_path: Path, name: str) -> None:
    rows = [{"id": "x", "text": "a"}, {"id": "y", "text": "b"}, {"id": "x", "text": "c"}]
    jsonl(tmp_path, *rows)
    sheet(tmp_path, ["id", "text"], *([row["id"], row["text"]] for row in rows))
    lines = (1, 3) if name.endswith("jsonl") else (2, 4)
    message = rf"'x' stands in {name}:{lines[0]} and again in {name}:{lines[1]}"
    samples = open_dataset(str(tmp_path / name)).samples()
    assert next(samples).id == "x"
    with pytest.raises(UserError, match=message):
        list(samples)


@pytest.mark.parametrize(
    ("content", "kinds"),
    [
        (b"text,image\na\nb,b.jpg\n", ["bad-csv", None]),
        (b"text,image\na,b,c\nb,b.jpg\n", ["bad-csv", None]),
        (b'text,image\n"a" b,x\nb,b.jpg\n', ["bad-csv", None]),
        (b"text,image\n\xff,x\nb,b.jpg\n", ["bad-text", None]),
        (b'text,image\nb,b.jpg\n"never closed,x\nc,c.jpg\n', [None, "bad-csv"]),
        (b"text,tokens\na,[1\nb,\n", ["bad-tokens", None]),
    ],
    ids=["short", "long", "quote inside", "not UTF-8", "open quote", "tokens"],
)
def test_rows_that_are_no_csv(tmp_path: Path, content: bytes, kinds: list[str | None]) -> None:
    path = tmp_path / "posts.csv"
    path.write_bytes(content)
    samples = list(open_dataset(str(path)).samples())
    assert [s.issues[0].kind if s.issues else None for s in samples] == kinds


def test_an_open_quote_says_how_much_it_swallowed(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_text('text\n"open\n' + "lost\n" * 100)
    (sample,) = open_dataset(str(path)).samples()
    assert "lines 2 to 102 are not CSV" in sample.issues[0].message


def test_csv_cells_may_hold_tokens_and_entities(tmp_path: Path) -> None:
    path = sheet(
        tmp_path,
        ["tokens", "entities"],
        ['["Tom", "Hanks"]', '[{"label": "PER", "start": 0, "end": 2}]'],
        ['["none"]', "[]"],
        ['["unknown"]', ""],
    )
    dataset = open_dataset(str(path))
    assert [sample.text for sample in dataset.samples()] == ["Tom Hanks", "none", "unknown"]
    assert list(dataset.gold()) == [
        Gold("line-2", (GoldEntity("Tom Hanks", "PER", Span(0, 2)),)),
        Gold("line-3", ()),
    ]


def with_entities(folder: Path, entities: object) -> Dataset:
    return open_dataset(str(jsonl(folder, {"id": "a", "text": "Tom, again", "entities": entities})))


def test_gold_is_separate_from_samples(tmp_path: Path) -> None:
    entity = {"label": "PER", "start": 0, "end": 2, "boxes": [[1, 2.5, 3, 4]], "fine_label": "x"}
    dataset = with_entities(tmp_path, [entity])
    assert (dataset.has_gold, dataset.has_boxes) == (True, True)
    assert [sample.entities for sample in dataset.samples()] == [None]
    (gold,) = dataset.gold()
    expected = GoldEntity("Tom,", "PER", Span(0, 2), "x", (Box(1, 2.5, 3, 4),))
    assert gold == Gold("a", (expected,))


@pytest.mark.parametrize(
    ("entities", "message"),
    [
        ([{"label": "PER", "start": 0, "end": 9}], r"tokens \[0, 9\) of a post with 3"),
        ([{"label": "PER", "start": 1, "end": 1}], r"tokens \[1, 1\)"),
        ([{"label": "PER", "start": -1, "end": 1}], "greater than or equal to 0"),
        ([{"label": "", "start": 0, "end": 1}], "at least 1 character"),
        ([{"start": 0, "end": 1}], "0.label: Field required"),
        ([{"label": "PER", "start": "0", "end": 1}], "valid integer"),
        ([{"label": "PER", "start": 0, "end": 1, "box": []}], "0.box: Extra inputs"),
        ([{"label": "PER", "start": 0, "end": 1, "boxes": [[3, 1, 2, 2]]}], "x_min < x_max"),
        ([{"label": "PER", "start": 0, "end": 1, "boxes": [["1", 1, 2, 2]]}], "valid number"),
        ("PER", "expected a JSON list of entities in 'entities', found str 'PER'"),
        ({"label": "PER"}, "expected a JSON list of entities in 'entities', found dict"),
        ("[{'label': 'PER'}]", "; JSON has double quotes and commas"),
        (
            [
                {
                    "label": "PER",
                    "start": 0,
                    "end": 1,
                    "masks": [{"height": 2, "width": 2, "counts": "zz"}],
                }
            ],
            "run lengths do not fill",
        ),
    ],
)
def test_unusable_gold_is_refused_with_its_line(
    tmp_path: Path, entities: object, message: str
) -> None:
    dataset = with_entities(tmp_path, entities)
    assert [sample.issues for sample in dataset.samples()] == [()]
    with pytest.raises(UserError, match=rf"posts\.jsonl:1: .*{message}"):
        list(dataset.gold())


def test_a_file_without_annotation_has_no_gold(tmp_path: Path) -> None:
    dataset = open_dataset(str(jsonl(tmp_path, {"text": "a"})))
    assert (dataset.has_gold, dataset.has_boxes, list(dataset.gold())) == (False, False, [])
    assert dataset.notes == ("posts.jsonl has no column image",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"texts,image\na,b\n", "found column 'texts', expected 'text'"),
        (b"text,text\na,b\n", "'text' stands twice"),
        (b'"text\n', "not CSV"),
    ],
)
def test_unusable_headers(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "posts.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        open_dataset(str(path))


def test_samples_are_streamed(tmp_path: Path) -> None:
    rows: list[Any] = [{"text": "a"}, {"text": "b"}]
    path = jsonl(tmp_path, *rows)
    samples = open_dataset(str(path)).samples()
    assert next(samples).text == "a"
    with path.open("a") as handle:
        handle.write('{"text": "written while the file was read"}\n' * 3)
    assert sum(1 for _ in samples) == 4
