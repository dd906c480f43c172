from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.contracts import check_backend
from helpers.factories import make_context, make_sample, write_records

from riveg.errors import UserError
from riveg.registry import backend_config
from riveg.stages.table import TAG
from riveg.stages.taggers.recorded import RecordedTagger, RecordedTaggerConfig
from riveg.types import Entailment, Entity, Issue, Span

PREDICTIONS = (
    "IMGID:1\nEileen\tO\tB-PER\nCollins\tO\tI-PER\nflies\tO\tO\n\n"
    "IMGID:2\nNASA\tB-ORG\tO\n\n"
    "IMGID:3\nOther\tO\tO\n"
)


def build(base: Path, file: str, column: int = -1) -> RecordedTagger:
    return RecordedTaggerConfig(file=Path(file), column=column).build(make_context(base))


def test_conll_is_joined_by_id(tmp_path: Path) -> None:
    (tmp_path / "pred.txt").write_text(PREDICTIONS)
    samples = [
        make_sample("NASA", id="2"),
        make_sample("Eileen Collins flies", id="1"),
        make_sample("Else", id="3"),
        make_sample("Eileen Collins flies", id="4"),
    ]
    nothing, person, tokens, absent = check_backend(TAG, build(tmp_path, "pred.txt"), samples)
    assert nothing == ()
    assert person == (Entity("e0", "Eileen Collins", "PER", Span(0, 2)),)
    assert isinstance(tokens, Issue)
    assert tokens.kind == "token-mismatch"
    assert "token 0 is 'Other' there and 'Else' here" in tokens.message
    assert isinstance(absent, Issue)
    assert absent.kind == "not-recorded"


@pytest.mark.parametrize("tags", ["B-PER I-PER O", "B-PER E-PER O", "B-PER L-PER X"])
def test_any_scheme_is_read(tmp_path: Path, tags: str) -> None:
    rows = zip(["Eileen", "Collins", "flies"], tags.split(), strict=True)
    text = "-DOCSTART-\tO\n\nIMGID:1\n" + "".join(f"{word}\t{tag}\n" for word, tag in rows)
    (tmp_path / "pred.txt").write_text(text)
    sample = make_sample("Eileen Collins flies", id="1")
    assert build(tmp_path, "pred.txt").tag([sample]) == [
        (Entity("e0", "Eileen Collins", "PER", Span(0, 2)),)
    ]
    (tmp_path / "pred.txt").write_text(text.replace("B-PER", "PER"))
    with pytest.raises(UserError, match=r"pred\.txt:4: expected a tag"):
        build(tmp_path, "pred.txt")


def test_the_column_is_chosen(tmp_path: Path) -> None:
    (tmp_path / "pred.txt").write_text(PREDICTIONS)
    assert build(tmp_path, "pred.txt", 0).tag([make_sample("NASA", id="2")])[0] == (
        Entity("e0", "NASA", "ORG", Span(0, 1)),
    )
    with pytest.raises(UserError, match=r"pred.txt:1: no tag column 2, there are 2"):
        build(tmp_path, "pred.txt", 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a\tO\n\nb\tO\n", ":1: a sentence without its", id="no ids: by position"),
        pytest.param("IMGID:1\na\tO\n\nb\tO\n", ":4: a sentence without its", id="one id lost"),
        pytest.param("IMGID:1\na\tO\n\nIMGID:1\nb\tO\n", ":4: a second answer", id="id twice"),
    ],
)
def test_a_join_by_position_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pred.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        build(tmp_path, "pred.txt")


def test_records_give_the_taggers_part_only(tmp_path: Path) -> None:
    sample = make_sample("NASA flies", [(0, 1, "ORG")], id="1")
    (entity,) = sample.entities or ()
    tagged = replace(entity, score=0.5, label_scores={"ORG": 0.7, "PER": 0.3})
    later = replace(tagged, expression="x", entailment=Entailment(0.5, True), regions=())
    write_records(
        tmp_path / "r.jsonl",
        [replace(sample, entities=(later,)), make_sample("b", id="2", entities=None)],
    )
    backend = build(tmp_path, "r.jsonl")
    asked = [replace(sample, entities=None), make_sample("b", id="2")]
    found, unanswered = check_backend(TAG, backend, asked)
    assert found == (tagged,)
    assert isinstance(unanswered, Issue)


def test_registered_with_contents(tmp_path: Path) -> None:
    assert backend_config("tag", "recorded") is RecordedTaggerConfig
    config = RecordedTaggerConfig(file=Path("pred.txt"))
    (tmp_path / "pred.txt").write_text(PREDICTIONS)
    before = config.contents(tmp_path)
    (tmp_path / "pred.txt").write_text(PREDICTIONS.replace("B-PER", "B-ORG"))
    assert config.contents(tmp_path) != before


def test_an_empty_sentence_has_no_entities(tmp_path: Path) -> None:
    (tmp_path / "pred.txt").write_text("IMGID:1\n\nIMGID:2\na\tO\n")
    empty = replace(make_sample("x", id="1"), text="", tokens=(), offsets=())
    assert build(tmp_path, "pred.txt").tag([empty]) == [()]
