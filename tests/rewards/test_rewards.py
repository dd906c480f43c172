"""Rewards on answers as models write them, and what holds of every answer."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import pytest
from helpers.places import ROOT
from hypothesis import given
from hypothesis import strategies as st

from riveg import rewards
from riveg.errors import UserError
from riveg.formats.e2e_answer import Triple, format_answer

GOLD = "Serena Williams|PER|[10,20,110,220]; Nike|ORG|[[200,10,240,40],[5,5,25,15]]; Paris|LOC|None"
THOUGHT = "<think>Serena Williams plays tennis; the swoosh is Nike's.</think>"


def answer(text: str) -> str:
    return f"{THOUGHT}\n<answer>{text}</answer>"


def rounded(given_answer: str, gold: Any = GOLD) -> dict[str, float]:
    return {
        name: round(value, 3) for name, value in asdict(rewards.parts(given_answer, gold)).items()
    }


NAMES = ("format", "count", "span", "type", "location", "hit", "entailment", "gmner")


@pytest.mark.parametrize(
    ("text", "expected", "reason"),
    [
        (answer(GOLD), (1, 1, 1, 1, 1, 1, 1, 1), "the gold itself"),
        (GOLD, (0, 1, 1, 1, 1, 1, 1, 1), "right, but without its blocks"),
        (answer("None"), (1, 0, 0, 0, 0, 0, 0, 0), "no entity where there are three"),
        (
            answer("Serena Williams|PER|[10,20,110,120]; Nike|ORG|[5,5,25,15]; Paris|LOC|None"),
            (1, 1, 1, 1, 0.833, 1, 1, 1),
            "half of one box, and the second of Nike's: IoU 0.5, 1, and rightly nowhere",
        ),
        (
            answer("Serena Williams|ORG|[10,20,110,220]; Nike|ORG|None; Paris|LOC|[1,1,9,9]"),
            (1, 1, 1, 0.667, 0.333, 0.333, 0.333, 0.0),
            "one wrong type, one box too few, one too many",
        ),
        (
            answer("Serena Williams|PER|[10,20,110,220]; NASA|ORG|None"),
            (1, 0.667, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4),
            "one right of two said and three annotated",
        ),
        (
            answer("Serena Williams|PER|[0,0,1000,1000]; Nike|ORG|[0,0,1000,1000]; Paris|LOC|None"),
            (1, 1, 1, 1, 0.34, 0.333, 1, 0.333),
            "boxes of the whole picture",
        ),
        (
            answer("Serena Williams|PER|left side; Nike|ORG; Paris|LOC|None"),
            (0, 0.667, 0.8, 0.8, 0.4, 0.4, 0.8, 0.4),
            "a place that is no box says that it is shown; two parts are no entity",
        ),
        ("", (0,) * 8, "nothing"),
        ("<think>It shows a tennis player who", (0,) * 8, "cut off in its thought"),
        (answer("I'm sorry, I can't identify people."), (0,) * 8, "a refusal"),
        (f"{answer(GOLD)} Anything else?", (0, 1, 1, 1, 1, 1, 1, 1), "words behind the answer"),
        (f"{answer(GOLD)}{answer('None')}", (0, 1, 1, 1, 1, 1, 1, 1), "two answers: the first"),
        (
            "<reason>a</reason><answer>"
            '[{"entity": "Serena Williams", "type": "PER", "box2d": [10, 20, 110, 220]},'
            ' {"entity": "Nike", "type": "ORG", "box2d": [200, 10, 240, 40]},'
            ' {"entity": "Paris", "type": "LOC", "box2d": []}]</answer>',
            (1, 1, 1, 1, 1, 1, 1, 1),
            "SAKE's form",
        ),
        (
            json.dumps(
                {
                    "entities": [
                        {
                            "text": "Serena Williams",
                            "label": "PER",
                            "occurrence": 1,
                            "boxes": [{"bbox_2d": [10, 20, 110, 220]}],
                        },
                        {
                            "text": "Nike",
                            "label": "ORG",
                            "occurrence": 1,
                            "boxes": [{"bbox_2d": [200, 10, 240, 40]}],
                        },
                        {"text": "Paris", "label": "LOC", "occurrence": 1, "boxes": []},
                    ]
                }
            ),
            (1, 1, 1, 1, 1, 1, 1, 1),
            "riveg's JSON",
        ),
        (
            '```json\n{"entities": [{"text": "Paris", "label": "LOC", "boxes": []}]}\n```',
            (0, 0.333, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5),
            "JSON in a fence is read, and not as it was asked for",
        ),
        ('{"entities": []}', (1, 0, 0, 0, 0, 0, 0, 0), "JSON without an entity"),
        ('{"entities": [{"text"', (0,) * 8, "JSON that was cut off"),
    ],
)
def test_answers(text: str, expected: tuple[float, ...], reason: str) -> None:
    assert rounded(text) == dict(zip(NAMES, expected, strict=True)), reason


@pytest.mark.parametrize("gold", ["None", '{"entities": []}', "[]", [], {"entities": []}])
def test_gold_without_an_entity(gold: Any) -> None:
    assert rounded(answer("None"), gold) == dict.fromkeys(NAMES, 1)
    assert rounded('{"entities": []}', gold) == dict.fromkeys(NAMES, 1)
    assert rounded(answer("Nike|ORG|None"), gold) == {**dict.fromkeys(NAMES, 0), "format": 1}
    assert rounded("", gold) == dict.fromkeys(NAMES, 0), "silence is not the answer None"


@pytest.mark.parametrize(
    "gold",
    ["", "Nike|ORG", "Nike|ORG|somewhere", "{", '[{"entity": "a"}]', None, 3, b"None", [object()]],
)
def test_gold_that_cannot_be_read(gold: Any) -> None:
    with pytest.raises(UserError, match="cannot be read: expected mention"):
        rewards.gmner(answer("None"), gold)


def test_gold_is_an_array_in_a_data_frame() -> None:
    import numpy as np

    gold = [{"entity": "Nike", "type": "ORG", "bbox": np.array([1.0, 2.0, 3.0, 4.0])}]
    assert rewards.gmner(answer("Nike|ORG|[1,2,3,4]"), gold) == 1


WORDS = st.sampled_from(["Nike", "Ann Lee", "@nasa", "U.S.", "Ålesund", "[{x", "{y}"])
LABELS = st.sampled_from(["PER", "LOC", "ORG", "OTHER"])


@st.composite
def triples(draw: st.DrawFn) -> list[Triple]:
    def box() -> tuple[int, int, int, int]:
        left, top = draw(st.integers(0, 900)), draw(st.integers(0, 900))
        return left, top, left + draw(st.integers(1, 99)), top + draw(st.integers(1, 99))

    return [
        Triple(draw(WORDS), draw(LABELS), tuple(box() for _ in range(draw(st.integers(0, 2)))))
        for _ in range(draw(st.integers(0, 4)))
    ]


def as_text(said: list[Triple]) -> str:
    return format_answer(said) or "None"


def as_json(said: list[Triple]) -> str:
    return json.dumps(
        {
            "entities": [
                {
                    "text": one.mention,
                    "label": one.label,
                    "occurrence": 1,
                    "boxes": [{"bbox_2d": [*box]} for box in one.boxes or ()],
                }
                for one in said
            ]
        }
    )


@given(triples())
def test_the_gold_itself_has_full_reward_in_every_form(said: list[Triple]) -> None:
    text, values = as_text(said), as_json(said)
    for one, gold in ((answer(text), values), (values, text), (answer(text), json.loads(values))):
        assert rounded(one, gold) == dict.fromkeys(NAMES, 1)
        assert rewards.sake(one, gold) == pytest.approx(1)
        assert rewards.mcr(one, gold) == pytest.approx(1)


@given(triples() | st.text(max_size=60), triples())
def test_rewards_are_shares(said: list[Triple] | str, gold: list[Triple]) -> None:
    text = said if isinstance(said, str) else answer(as_text(said))
    found = rewards.parts(text, as_text(gold))
    assert all(0 <= value <= 1 for value in asdict(found).values())
    assert found.gmner <= min(found.type, found.hit)
    assert found.hit <= min(found.entailment, found.span)
    assert max(found.type, found.entailment, found.location) <= found.span + 1e-9
    for function in (rewards.sake, rewards.mcr):
        assert -1e-9 <= function(text, as_text(gold)) <= 1 + 1e-9


def test_every_part_is_a_function() -> None:
    text = answer("Serena Williams|ORG|[10,20,110,220]; Nike|ORG|None")
    found = asdict(rewards.parts(text, GOLD))
    assert tuple(found) == rewards.PARTS == NAMES
    assert {name: getattr(rewards, name)(text, GOLD) for name in NAMES} == found


def test_trl_calls_it_on_a_batch() -> None:
    """With the arguments of GRPOTrainer: strings, or messages, and the data's columns."""
    reward = rewards.for_trl(rewards.gmner)
    assert reward.__name__ == "gmner"
    message = [{"role": "assistant", "content": answer(GOLD)}]
    parts = [{"role": "assistant", "content": [{"type": "text", "text": answer("None")}]}]
    found = reward(
        prompts=["a", "b", "c"],
        completions=[message, parts, answer(GOLD)],
        completion_ids=[[1], [2], [3]],
        ground_truth=[GOLD, GOLD, "None"],
        trainer_state=None,
    )
    assert found == [1, 0, 0]
    with pytest.raises(UserError, match="no column 'gold'"):
        rewards.for_trl(rewards.gmner, "gold")(completions=["a"], ground_truth=["None"])
    with pytest.raises(UserError, match="a text or a list of messages"):
        reward(completions=[[]], ground_truth=["None"])


def test_verl_calls_it_on_one_answer() -> None:
    found = rewards.compute_score(
        data_source="riveg", solution_str=answer(GOLD), ground_truth=GOLD, extra_info={"index": 1}
    )
    assert found == {"score": pytest.approx(1), **dict.fromkeys(NAMES, 1)}
    only = rewards.compute_score("riveg", GOLD, GOLD, weights={"format": 1.0})
    assert (only["score"], only["gmner"]) == (0, 1)
    with pytest.raises(UserError, match="no part 'gmnr'"):
        rewards.compute_score("riveg", GOLD, GOLD, weights={"gmnr": 1.0})
    with pytest.raises(UserError, match="weights: gmner: expected a number, found nan"):
        rewards.compute_score("riveg", GOLD, GOLD, weights={"gmner": float("nan")})


def test_the_examples_of_the_docs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "vision-language.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    first, second = (block for block in blocks if "import rewards" in block)
    exec(first, {})
    printed = capsys.readouterr().out
    assert printed.startswith("0.5 Parts(format=1.0, count=1.0, span=1.0, type=1.0, location=0.4")
    values: Any = {}
    exec(second, values)
    assert [reward.__name__ for reward in values["reward_funcs"]] == ["gmner", "format"]


def test_they_need_no_torch() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'transformers', 'trl', 'vllm')));"
        "from riveg import rewards; print(rewards.gmner('A|PER|None', 'A|PER|None'))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "1.0\n"
