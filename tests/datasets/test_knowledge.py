"""Knowledge is joined to posts by id or text, and never by its place in a file."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from riveg.datasets.knowledge import knowledge_of
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.formats.records import encode
from riveg.runs.sources import make_sample
from riveg.text.tokenise import join_tokens
from riveg.types import Sample


def post(sample_id: str, text: str) -> Sample:
    tokens = tuple(text.split(" "))
    joined, offsets = join_tokens(tokens)
    return Sample(sample_id, joined, tokens, offsets)


POSTS = [post("1", "Ann met Bob"), post("2", "Rome is far"), post("3", "Rome is far")]


def pgim(path: Path, *blocks: tuple[str, str]) -> Path:
    text = ""
    for sentence, knowledge in blocks:
        words = [*(f"{token}\tO" for token in sentence.split(" ")), "<EOS>\tX"]
        text += "\n".join([*words, *(f"{word}\tX" for word in knowledge.split())]) + "\n\n"
    path.write_text(text, encoding="utf-8")
    return path


def jsonl(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_a_file_means_nothing(seed: int, tmp_path: Path) -> None:
    blocks = [("Ann met Bob", "two people"), ("Rome is far", "a city"), ("Rome is far", "a song")]
    random.Random(seed).shuffle(blocks)
    found = knowledge_of(iter(POSTS), [pgim(tmp_path / "k.txt", *blocks)], "tiny")
    assert found["1"] == ("two people",)
    # Nobody can tell posts of one text apart, so each has what is known about the text.
    assert {*found["2"]} == {*found["3"]} == {"a city", "a song"}


def test_several_files_give_several_pieces_and_what_is_said_twice_counts_once(
    tmp_path: Path,
) -> None:
    first = pgim(tmp_path / "a.txt", ("Ann met Bob", "two people"))
    second = jsonl(
        tmp_path / "b.jsonl",
        {"id": "1", "text": "Ann met Bob", "knowledge": "two  people"},
        {"id": "2", "knowledge": "a city"},
        {"text": "Ann met Bob", "knowledge": "a couple"},
        {"tokens": ["Rome", "is", "far"], "knowledge": None},
    )
    found = knowledge_of(POSTS, [first, second], "tiny")
    assert found == {"1": ("two people", "a couple"), "2": ("a city",)}


def test_records_of_a_run_are_read(tmp_path: Path) -> None:
    sample = make_sample("Ann met Bob", id="1")
    record = encode(replace(sample, knowledge="two people"))
    (tmp_path / "records.jsonl").write_bytes(record + b"\n")
    assert knowledge_of([sample], [tmp_path], "tiny") == {"1": ("two people",)}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "9", "knowledge": "x"}, "k.jsonl:1: the id '9' is no post of tiny"),
        ({"text": "Ann", "knowledge": "x"}, "k.jsonl:1: 'Ann' is no post of tiny"),
        (
            {"id": "1", "text": "Rome is far", "knowledge": "x"},
            "k.jsonl:1: knowledge about 'Rome is far', but the post '1' is 'Ann met Bob'",
        ),
        (
            {"id": "1", "tokens": ["Rome", "is"], "knowledge": "x"},
            "k.jsonl:1: knowledge about 'Rome is', but the post '1' is 'Ann met Bob'",
        ),
        ({"knowledge": "x"}, "k.jsonl:1: expected an id, tokens or a text"),
        ({"id": "1"}, "k.jsonl:1: is no knowledge about a post"),
    ],
)
def test_what_does_not_fit_is_told_with_its_line(
    row: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message) as raised:
        knowledge_of(POSTS, [jsonl(tmp_path / "k.jsonl", row)], "tiny")
    assert "\n" not in str(raised.value)


def test_a_conll_file_without_knowledge_and_one_that_is_not_there_are_told(tmp_path: Path) -> None:
    path = tmp_path / "plain.txt"
    path.write_text("Ann\tO\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"plain\.txt:1: expected <EOS> and knowledge behind"):
        knowledge_of(POSTS, [path], "tiny")
    with pytest.raises(UserError, match=r"missing\.txt: cannot be read"):
        knowledge_of(POSTS, [tmp_path / "missing.txt"], "tiny")


def test_the_published_sets_name_their_knowledge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "twitter-gmner"
    (folder / "txt").mkdir(parents=True)
    (folder / "txt" / "train.txt").write_text("IMGID:1\nAnn\tB-PER\n", encoding="utf-8")
    monkeypatch.setenv("RIVEG_DATA", str(tmp_path))
    dataset = open_dataset("twitter-gmner", split="train")
    assert dataset.knowledge["train"] == (folder / "knowledge" / "train.txt",)
