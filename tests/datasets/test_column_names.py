"""Headers as people write them, and what is said where a column cannot be known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from riveg.datasets.opening import open_dataset
from riveg.errors import UserError


def csv_file(folder: Path, content: str | bytes) -> Path:
    path = folder / "posts.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_case_and_outer_blanks_of_known_columns_do_not_count(tmp_path: Path) -> None:
    path = csv_file(tmp_path, 'ID, Text ,IMAGE,Caption,Entities\np1,Tom,a.jpg,a man,"[]"\n')
    dataset = open_dataset(path)
    (sample,) = dataset.samples()
    assert (sample.id, sample.text, sample.caption) == ("p1", "Tom", "a man")
    assert sample.image is not None
    assert sample.image.path == "a.jpg"
    assert dataset.notes == ()
    assert [gold.entities for gold in dataset.gold()] == [()]


def test_json_keys_are_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text(json.dumps({"Tokens": ["Tom", "!"], " Image": "a.jpg"}) + "\n")
    (sample,) = open_dataset(path).samples()
    assert sample.tokens == ("Tom", "!")
    assert sample.image is not None
    assert sample.image.path == "a.jpg"


def test_parquet_columns_are_read_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra data")
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setenv("RIVEG_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "posts.parquet"
    parquet.write_table(pa.Table.from_pylist([{"Text": "Tom", "Image": {"bytes": b"x"}}]), path)
    (sample,) = open_dataset(path).samples()
    assert sample.text == "Tom"
    assert sample.image is not None
    assert sample.image.path.endswith(".bin")


def test_the_exact_name_wins(tmp_path: Path) -> None:
    (sample,) = open_dataset(csv_file(tmp_path, "ID,id,text\nother,mine,Tom\n")).samples()
    assert sample.id == "mine"


def test_two_columns_of_one_meaning_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'Text' and 'TEXT' both mean the column text"):
        open_dataset(csv_file(tmp_path, "Text,TEXT\na,b\n"))


@pytest.mark.parametrize(
    "name", ["image_path", "images", "picture", "Photo", "img", "imgae", "file_name"]
)
def test_a_column_that_may_mean_the_image_is_named(tmp_path: Path, name: str) -> None:
    (note,) = open_dataset(csv_file(tmp_path, f"text,{name}\na,a.jpg\n")).notes
    assert note == (
        f"posts.csv has no column image; found {name!r}, did you mean image? "
        f"Then: --column image={name}"
    )
    dataset = open_dataset(tmp_path / "posts.csv", columns={"image": name})
    assert dataset.notes == ()
    assert [sample.image.path for sample in dataset.samples() if sample.image] == ["a.jpg"]


def test_other_columns_are_not_taken_for_the_image(tmp_path: Path) -> None:
    (note,) = open_dataset(csv_file(tmp_path, "text,likes,caption\na,3,b\n")).notes
    assert note == "posts.csv has no column image"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("texts,image\na,b\n", "found column 'texts', expected 'text': --column text=texts"),
        ("token,image\na,b\n", "found column 'token', expected 'tokens': --column tokens=token"),
        (
            "likes,post,image\n1,a,b\n",
            "neither a column text nor tokens; found 'likes', 'post', 'image'; if 'post' is the "
            "text: --column text=post",
        ),
        ("likes;tweet;img\n1;a;b\n", "found column 'tweet', expected 'text': --column text=tweet"),
        ("my words,img\na,b\n", "--column 'text=my words'"),
        ("text,image\na,b\n".encode("utf-16"), r"is not UTF-8 \(it looks like UTF-16\)"),
        ("text,image\na,b\n".encode("utf-16-le"), r"UTF-16\); save it as UTF-8"),
        ("text,größe\na,b\n".encode("latin-1"), "is not UTF-8; save it as UTF-8"),
    ],
)
def test_unusable_headers_say_what_to_do(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        open_dataset(csv_file(tmp_path, content))
    assert "did you mean" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_json_lines_in_utf_16_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes('{"text": "a"}\n'.encode("utf-16"))
    with pytest.raises(UserError, match=r"looks like UTF-16\); save it as UTF-8"):
        open_dataset(path)


def test_gold_in_latin_1_says_so_too(tmp_path: Path) -> None:
    entities = '"[{""label"": ""Größe"", ""start"": 0, ""end"": 1}]"'
    path = csv_file(tmp_path, f"text,entities\nBonn,{entities}\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"posts\.csv:2: .*is not UTF-8; save the file as UTF-8"):
        [*open_dataset(path).gold()]


def test_half_a_surrogate_pair_is_not_the_fault_of_the_encoding(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text('{"text": "a", "image": "\\udc80.jpg"}\n')
    (sample,) = open_dataset(path).samples()
    assert sample.issues[0].message.endswith("what is in 'image' is not valid Unicode")


def test_rows_in_latin_1_say_how_to_save_the_file(tmp_path: Path) -> None:
    rows = 'text,caption,tokens,entities\nMünchen,a,,\nBonn,schön,,\n,,"[""Köln""]",\n'
    path = csv_file(tmp_path, rows.encode("latin-1"))
    kinds = []
    for sample in open_dataset(path).samples():
        (issue,) = sample.issues
        kinds.append(issue.kind)
        assert "is not UTF-8; save the file as UTF-8" in issue.message
    assert kinds == ["bad-text", "bad-caption", "bad-tokens"]
    path = tmp_path / "posts.jsonl"
    path.write_bytes('{"text": "München"}\n'.encode("latin-1"))
    (sample,) = open_dataset(path).samples()
    assert "save the file as UTF-8" in sample.issues[0].message
