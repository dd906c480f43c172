"""``riveg rewards check``: distributions, and each trap on answers that are in it."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from riveg.cli import app
from riveg.errors import UserError
from riveg.formats.e2e_answer import Triple, format_answer
from riveg.rewards.distribution import RewardCheck, check_rewards
from riveg.rewards.rows import RewardRow, read_rows

Edges = tuple[float, float, float, float]
SIZE = (640, 480)


def gold_boxes(number: int = 12) -> list[Edges]:
    chance = random.Random(3)
    found: list[Edges] = []
    for _ in range(number):
        left, top = chance.randrange(20, 400), chance.randrange(20, 300)
        found.append((left, top, left + chance.randrange(40, 200), top + chance.randrange(40, 150)))
    return found


def text_of(label: str, box: Edges | None) -> str:
    return format_answer([Triple("Ann Lee", label, () if box is None else (box,))])


def checked(said: Callable[[Edges], Edges | None], label: str = "PER") -> RewardCheck:
    """What is found where a box is stated for each of gold's."""
    return check_rewards(
        RewardRow(
            f"<think>a</think><answer>{text_of(label, said(box))}</answer>",
            text_of("PER", box),
            "a",
        )
        for box in gold_boxes()
    )


def norm1000(box: Edges) -> Edges:
    width, height = SIZE
    return (
        round(box[0] / width * 1000),
        round(box[1] / height * 1000),
        round(box[2] / width * 1000),
        round(box[3] / height * 1000),
    )


def every_second(box: Edges) -> Edges:
    """A box, every second of them far too high."""
    return box if box[0] % 2 else (box[0], box[1], box[2], box[3] + 500)


def frames(found: RewardCheck) -> list[str]:
    return [trap for trap in found.traps if "another frame" in trap]


def test_answers_that_can_be_learnt_from_are_in_no_trap() -> None:
    found = checked(every_second)
    assert found.traps == ()
    part = {one.name: one for one in found.parts}["gmner"]
    assert part.mean == part.one == 1 - part.zero
    assert 0 < part.mean < 1
    assert (part.below_half, part.below_one) == (0, 0)


@pytest.mark.parametrize(
    ("said", "words", "reason"),
    [
        (norm1000, "with edges times 0.64 (x) and 0.48 (y)", "thousandths"),
        (
            lambda box: (box[0] / 640, box[1] / 480, box[2] / 640, box[3] / 480),
            "with edges times 640 (x) and 480 (y)",
            "shares",
        ),
        (
            lambda box: (box[1], box[0], box[3], box[2]),
            "once x and y are swapped with edges times 1 (x) and 1 (y)",
            "rows first",
        ),
    ],
)
def test_boxes_in_another_frame(said: Callable[[Edges], Edges], words: str, reason: str) -> None:
    (trap,) = frames(checked(said))
    assert words in trap, reason


def test_a_frame_whose_factors_depend_on_the_picture() -> None:
    rows = []
    for box, wide in zip(gold_boxes(), itertools.cycle((320, 640, 1280)), strict=False):
        left, top, right, low = (edge * 1000 / wide for edge in box)
        rows.append(RewardRow(text_of("PER", (left, top, right, low)), text_of("PER", box), "a"))
    (trap,) = frames(check_rewards(rows))
    assert "with edges times 0.32 to 1.28, by picture (x)" in trap


def test_boxes_of_the_whole_image() -> None:
    found = checked(lambda _: (0, 0, *SIZE))
    assert any("12 of 12 boxes begin in the upper left corner" in trap for trap in found.traps)
    assert "hit is always 0: nothing can be learnt from it" in found.traps
    assert not frames(found)


def test_boxes_at_random_are_in_no_other_frame() -> None:
    chance = random.Random(5)
    others = [*gold_boxes()]
    chance.shuffle(others)
    assert not frames(checked(lambda _: others.pop()))


def test_answers_that_are_all_alike_or_unread() -> None:
    found = check_rewards([RewardRow("Sure! Here it is", text_of("PER", None), "a")] * 4)
    assert (found.answers, found.unread) == (4, 4)
    assert [trap.split(":")[0] for trap in found.traps] == [
        "nothing can be read of 4 of 4 answers, which get 0 in every part",
        "all answers are the same text",
    ]


def test_questions_whose_answers_get_the_same() -> None:
    rows = [
        RewardRow(text_of("PER", box), text_of("PER", box), "a", group=str(number))
        for number, box in enumerate(gold_boxes(4))
        for _ in range(3)
    ]
    found = check_rewards(rows)
    assert found.traps[-1].startswith(
        "of 4 questions with 3 answers or more, 4 have the same gmner"
    )


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_files_of_trainers(tmp_path: Path) -> None:
    message = [{"role": "assistant", "content": "None"}]
    path = write(
        tmp_path / "a.jsonl",
        [
            {"prompt": "p", "completion": message, "ground_truth": "None"},
            {"input": "p", "output": "None", "gts": [], "score": 1.0},
            {"completions": ["None", message], "solution": "None"},
        ],
    )
    assert [*read_rows(path)] == [
        RewardRow("None", "None", f"{path}:1", '"p"'),
        RewardRow("None", [], f"{path}:2", '"p"'),
        RewardRow("None", "None", f"{path}:3", f"{path}:3"),
        RewardRow("None", "None", f"{path}:3", f"{path}:3"),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"ground_truth": "None"}, "a.jsonl:1: has none of completion,"),
        ({"output": "a", "answer": "b", "gold": "None"}, "has output and answer; say which"),
        ({"output": "a"}, "has none of ground_truth, gold, gts, solution"),
        ({"output": 3, "gold": "None"}, "expected an answer, found 3"),
        ({"output": "a", "gold": 3}, "expected gold as a text or a list, found 3"),
        ({"output": "a", "gold": "somewhere"}, "a.jsonl:1: the gold 'somewhere' cannot be read"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_rewards(read_rows(write(tmp_path / "a.jsonl", [row])))


def test_the_command(tmp_path: Path) -> None:
    rows = [
        {"id": number, "said": text_of(label, box), "gold": text_of("PER", box)}
        for number, (label, box) in enumerate(zip(["PER", "LOC"], gold_boxes(2), strict=True))
    ]
    path = write(tmp_path / "said.jsonl", rows)
    run = CliRunner().invoke
    result = run(app, ["rewards", "check", str(path), "--answer", "said"])
    assert result.exit_code == 1, result.output
    assert "2 answers" in result.output
    assert "trap: format is always 0: nothing can be learnt from it" in result.output
    table = result.output.split("\n\n")[0].splitlines()
    assert max(map(len, table)) <= 80
    assert table[-1].split() == [
        "gmner",
        "0.500",
        "0.500",
        "50",
        "%",
        "0",
        "%",
        "0",
        "%",
        "50",
        "%",
    ]
    empty = run(app, ["rewards", "check", str(write(tmp_path / "no.jsonl", []))])
    assert isinstance(empty.exception, UserError)
    wrong = run(app, ["rewards", "check", str(path), "--answer", "sayd"])
    assert "did you mean said" in str(wrong.exception)
