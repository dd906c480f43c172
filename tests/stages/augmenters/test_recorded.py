from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.contracts import check_backend
from helpers.factories import make_context, make_sample, write_records

from riveg.errors import UserError
from riveg.registry import backend_config
from riveg.stages.augmenters.recorded import RecordedAugmenter, RecordedAugmenterConfig
from riveg.stages.table import AUGMENT
from riveg.types import Issue


def test_contract(tmp_path: Path) -> None:
    assert backend_config("augment", "recorded") is RecordedAugmenterConfig
    write_records(
        tmp_path / "records.jsonl",
        [make_sample("a", id="1", knowledge="It says {{ a }}."), make_sample("b", id="2")],
    )
    backend = RecordedAugmenterConfig(file=Path()).build(make_context(tmp_path))
    samples = [make_sample("a", id=name) for name in ("3", "1", "2")]
    missing, found, unanswered = check_backend(AUGMENT, backend, samples)
    assert found == "It says {{ a }}."
    for issue in (missing, unanswered):
        assert isinstance(issue, Issue)
        assert issue.kind == "not-recorded"


def test_contents_follow_the_file(tmp_path: Path) -> None:
    config = RecordedAugmenterConfig(file=Path("r.jsonl"))
    write_records(tmp_path / "r.jsonl", [make_sample("a", knowledge="one")])
    before = config.contents(tmp_path)
    write_records(tmp_path / "r.jsonl", [make_sample("a", knowledge="two")])
    assert config.contents(tmp_path) != before


def recorded(file: Path) -> RecordedAugmenter:
    return RecordedAugmenterConfig(file=Path(file.name)).build(make_context(file.parent))


def test_files_that_taggers_learn_from_are_read(tmp_path: Path) -> None:
    pgim = tmp_path / "knowledge.txt"
    pgim.write_text("Big\tO\nBen\tO\n<EOS>\tX\na\tX\nclock\tX\n\n", encoding="utf-8")
    posts = [make_sample("Big Ben", id="x"), make_sample("Small Ben", id="y")]
    known, unknown = recorded(pgim).augment(posts)
    assert known == "a clock"
    assert isinstance(unknown, Issue)
    lines = tmp_path / "knowledge.jsonl"
    rows = [{"text": "Small Ben", "knowledge": "a bell"}, {"id": "x", "knowledge": "two\nlines"}]
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert recorded(lines).augment(posts) == ["two\nlines", "a bell"]


def test_knowledge_about_another_text_is_no_answer(tmp_path: Path) -> None:
    lines = tmp_path / "knowledge.jsonl"
    lines.write_text(json.dumps({"id": "x", "text": "Big Ben", "knowledge": "a clock"}) + "\n")
    (issue,) = recorded(lines).augment([make_sample("Small Ben", id="x")])
    assert isinstance(issue, Issue)
    assert issue.message == f"{lines}:1: 'x' has another text"


def test_two_answers_for_one_id_are_refused(tmp_path: Path) -> None:
    lines = tmp_path / "knowledge.jsonl"
    lines.write_text('{"id": "x", "knowledge": "a"}\n{"id": "x", "knowledge": "b"}\n')
    with pytest.raises(UserError, match=r"knowledge.jsonl:2: a second answer for 'x'"):
        recorded(lines)
