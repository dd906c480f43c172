"""RiVEG's own answers as recorded backends: joined by image and mention, checked, never guessed."""

from __future__ import annotations

import json
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest
from helpers.answers import issue_of, whole
from helpers.contracts import check_backend
from helpers.factories import make_context, make_sample, mentions_of

from riveg.errors import UserError
from riveg.registry import backend_config
from riveg.stages.table import ENTAIL, GROUND
from riveg.types import Box, Entailment, ImageRef, Region

POSTS = [
    make_sample("Ann met Ann at NASA", [(0, 1, "PER"), (2, 3, "PER"), (4, 5, "ORG")], id="17_1"),
    make_sample("Mulan ( film )", [(0, 4, "OTHER")], id="2"),
]
ROWS = {
    "17_1.jpg#00a1": ("Ann(PER)", 2),
    "17_1.jpg#00a2": ("Ann(PER)", 0),
    "17_1.jpg#00a3": ("NASA(ORG)", 2),
    "2.jpg#00a4": ("Mulan ( film )(OTHER)", 2),
}
BOXES = {
    "17_1.jpg#00a1": [1, 2, 30, 40],
    "17_1.jpg#00a3": [5, 5, 9, 9],
    "2.jpg#00a4": [0, 0, 3, 4],
}


def write_rows(path: Path, *, flags: bool = True) -> Path:
    lines = [
        f"Imageid:{row}###{name}###{name}-a thing" + (f"###{flag}\n" if flags else "\n")
        for row, (name, flag) in ROWS.items()
    ]
    path.write_text("".join(lines))
    return path


def write_table(path: Path) -> Path:
    """The table that RiVEG's program makes for the entailment model, with a short "image"."""
    lines = [
        "\t".join((row, row[:-5], "aGk=", "a caption", f"{name}-a thing", "contradiction")) + "\n"
        for row, (name, _) in ROWS.items()
    ]
    path.write_text("".join(lines))
    return path


def write_json(path: Path, key: str, values: dict[str, Any]) -> Path:
    path.write_text(json.dumps([{"uniq_id": row, key: value} for row, value in values.items()]))
    return path


def build(stage: str, base: Path, **fields: str) -> Any:
    config = backend_config(stage, "recorded").model_validate(
        {name: Path(value) for name, value in fields.items()}
    )
    return config.build(make_context(base))


def shown(answers: Any) -> list[bool]:
    return [whole(answer).groundable for answer in answers]


def test_the_flags_of_rows_answer_mention_by_mention(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.txt")
    answers = check_backend(ENTAIL, build("entail", tmp_path, file="rows.txt"), mentions_of(*POSTS))
    assert shown(answers) == [True, False, True, True]
    assert whole(answers[0]) == Entailment(None, True, "ofa")


@pytest.mark.parametrize("form", ["rows without flags", "table", "flagged rows"])
def test_the_answers_of_the_entailment_model_are_joined_to_their_rows(
    tmp_path: Path, form: str
) -> None:
    if form == "table":
        write_table(tmp_path / "rows.txt")
    else:
        write_rows(tmp_path / "rows.txt", flags=form == "flagged rows")
    said = dict(zip(reversed(ROWS), ["yes", "maybe", "no", "no"], strict=True))
    write_json(tmp_path / "predict.json", "answer", said)
    backend = build("entail", tmp_path, file="predict.json", rows="rows.txt")
    answers = check_backend(ENTAIL, backend, mentions_of(*POSTS))
    assert shown(answers) == [False, False, True, True], "maybe counts as shown"


def test_boxes_are_joined_to_the_rows_that_are_shown(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.txt")
    write_json(tmp_path / "boxes.json", "box", dict(reversed(BOXES.items())))
    backend = build("ground", tmp_path, file="boxes.json", rows="rows.txt")
    ann, again, nasa, mulan = check_backend(GROUND, backend, mentions_of(*POSTS))
    assert whole(ann) == (Region(Box(1, 2, 30, 40), source="ofa"),)
    assert "its row says that it is not shown" in issue_of(again).message
    assert [region.box for region in (*whole(nasa), *whole(mulan))] == [
        Box(5, 5, 9, 9),
        Box(0, 0, 3, 4),
    ]


def test_bins_are_of_the_padded_square(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.txt")
    bins = dict.fromkeys(BOXES, "<bin_0> <bin_0> <bin_999> <bin_333>")
    write_json(tmp_path / "boxes.json", "box", bins)
    backend = build("ground", tmp_path, file="boxes.json", rows="rows.txt")
    wide = replace(POSTS[1], image=ImageRef("2.jpg", 600, 300))
    (answer,) = backend.ground(mentions_of(wide))
    (region,) = whole(answer)
    assert astuple(region.box) == pytest.approx((0, 0, 600, 200))
    (unknown,) = backend.ground(mentions_of(POSTS[1]))
    assert issue_of(unknown).kind == "missing-image"


def test_a_mention_without_a_row_is_an_issue(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.txt")
    backend = build("entail", tmp_path, file="rows.txt")
    people = [(number, number + 1, "PER") for number in range(1, 5)]
    other = make_sample("NASA Ann Ann Ann Bob", [(0, 1, "LOC"), *people], id="17_1")
    by_image = replace(other, id="post", image=ImageRef("tweets/17_1.jpg"))
    for post in (other, by_image):
        nasa, first, second, third, bob = backend.entail(mentions_of(post))
        assert "has it as ORG only" in issue_of(nasa).message
        assert shown([first, second]) == [True, False]
        assert "has 2 rows of it, and this is mention 3" in issue_of(third).message
        assert "has no row of it" in issue_of(bob).message


@pytest.mark.parametrize(
    ("stage", "values", "rows", "message"),
    [
        ("entail", dict.fromkeys(ROWS, "perhaps"), "rows.txt", 'entry 1: expected .*"maybe"'),
        ("entail", {"17_1.jpg#00a1": "yes"}, "rows.txt", "no answer for '17_1.jpg#00a2', which is"),
        ("entail", {**dict.fromkeys(ROWS, "yes"), "x": "no"}, "rows.txt", "answers 'x', which is"),
        ("entail", dict.fromkeys(ROWS, "yes"), "", "ids of rows only; name the file"),
        ("entail", dict.fromkeys(ROWS, "yes"), "twice.txt", r"twice.txt:5: the id .* line 1 too"),
        ("ground", {"2.jpg#00a4": [0, 0, 3, 4]}, "rows.txt", "holds 1 box for the 3 groundable"),
        ("ground", dict(zip("abc", BOXES.values(), strict=True)), "rows.txt", "so does the order"),
        ("ground", dict.fromkeys(BOXES, "<bin_1>"), "rows.txt", "entry 1: expected"),
    ],
)
def test_files_that_are_not_of_each_other_are_refused(
    tmp_path: Path, stage: str, values: dict[str, Any], rows: str, message: str
) -> None:
    text = write_rows(tmp_path / "rows.txt").read_text()
    (tmp_path / "twice.txt").write_text(text + text)
    key = "answer" if stage == "entail" else "box"
    write_json(tmp_path / "a.json", key, values)
    fields = {"file": "a.json"} | ({"rows": rows} if rows else {})
    with pytest.raises(UserError, match=message):
        build(stage, tmp_path, **fields)


def test_a_row_with_two_answers_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.txt")
    said = [{"uniq_id": row, "answer": "yes"} for row in (*ROWS, next(iter(ROWS)))]
    (tmp_path / "predict.json").write_text(json.dumps(said))
    with pytest.raises(UserError, match=r"predict\.json: a second answer for '17_1.jpg#00a1'"):
        build("entail", tmp_path, file="predict.json", rows="rows.txt")


@pytest.mark.parametrize(
    "ids", [["17_1.jpg#0002", "17_1.jpg#0003"], ["17_1.jpg#0001", "17_1.jpg#0001"]]
)
def test_a_box_of_another_row_is_refused(tmp_path: Path, ids: list[str]) -> None:
    rows = [f"Imageid:17_1.jpg#000{number}###Ann(PER)###x###2\n" for number in (1, 2)]
    (tmp_path / "rows.txt").write_text("".join(rows))
    (tmp_path / "boxes.json").write_text(
        json.dumps([{"uniq_id": one, "box": [0, 0, 3, 4]} for one in ids])
    )
    with pytest.raises(UserError, match="ids differ, and so does the order"):
        build("ground", tmp_path, file="boxes.json", rows="rows.txt")


@pytest.mark.parametrize(
    ("stage", "message"),
    [("entail", r"rows.txt:1: no flag ###0 or ###2"), ("ground", "expected records")],
)
def test_rows_alone_are_refused_where_they_say_too_little(
    tmp_path: Path, stage: str, message: str
) -> None:
    write_rows(tmp_path / "rows.txt", flags=False)
    with pytest.raises(UserError, match=message):
        build(stage, tmp_path, file="rows.txt")


@pytest.mark.parametrize("stage", ["entail", "ground"])
def test_both_files_are_part_of_the_fingerprint(tmp_path: Path, stage: str) -> None:
    for name in ("a.json", "rows.txt"):
        (tmp_path / name).write_text(name)
    config = backend_config(stage, "recorded").model_validate(
        {"file": Path("a.json"), "rows": Path("rows.txt")}
    )
    before = config.contents(tmp_path)
    assert {*before} == {"a.json", "rows.txt"}
    (tmp_path / "rows.txt").write_text("other")
    assert config.contents(tmp_path) != before
