"""Thousands of made-up cases: the scorers count what the rules of the released programs do."""

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.released_rules import (
    Corners,
    Numbers,
    e2e_counts,
    e2e_resized,
    sysu_counts,
    tiger_counts,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.counts import Count
from riveg.evaluation.foreign import read_foreign
from riveg.evaluation.protocols import PROTOCOLS
from riveg.evaluation.protocols.e2e import RESIZE
from riveg.types import Box, ImageSize, Region, Span


def plain(counts: Any) -> dict[str, Numbers]:
    return {name: (one.hits, one.predicted, one.gold) for name, one in counts.items()}


# E2E-GMNER, from its evaluator's own file

SIZES = [(560, 560), (600, 450), (2400, 1800), (90, 200), (27, 400), (28, 28), (30, 6100)]
NAMES = ["J", "K", "A|B", "A;B", "AT &amp ;", "A\uff1bJ", "J K", "None"]
LABELS = ["PER", "ORG"]
SHARES = [(0.0, 0.0, 0.5, 0.5), (0.0, 0.0, 0.5, 0.25), (0.5, 0.5, 1.0, 1.0), (0.1, 0.1, 0.102, 0.2)]
REGIONS = [
    "None",
    "n/a",
    "NONE",
    "[0,0,280,280]",
    "[0,0,280,140]",
    "[0,0,280,139.5]",
    "[[0,0,9,9],[280,280,560,560]]",
    "[0,0,280,280],[280,280,560,560]",
    "[0,0,560,560,7]",
    "(.5 .5 280.5 280)",
    "[280,280,0,0]",
    "[0,0,2000,2000]",
    "[1e2,0,280,280]",
    "[[0,0,280,280],[1,2]]",
    "[]",
    "left",
    "",
]
PIECES = st.one_of(
    st.builds(
        lambda name, bar, label, region: f"{name}{bar}{label}{bar}{region}",
        st.sampled_from([*NAMES, "", " "]),
        st.sampled_from(
            ["|", " | ", "\uff5c", "\u2502", "\u4e28", "\uffe8", "\u2223", "\u2503", "||"]
        ),
        st.sampled_from([*LABELS, ""]),
        st.sampled_from(REGIONS),
    ),
    st.sampled_from(["||", "|PER|None", "A||None", "None", "J|PER", "J|PER|None|"]),
)
WRAPPINGS = st.sampled_from(
    [
        "{}",
        "<answer>{}</answer>",
        "<Think>J|PER|None</THINK>{}",
        "<ANSWER>{}</Answer> J|PER|None",
        "a</think>{}</think>J|PER|None",
        "<think>x</think><answer>{}",
    ]
)
RESPONSES = st.builds(
    lambda wrapping, pieces, joint: wrapping.format(joint.join(pieces)),
    WRAPPINGS,
    st.lists(PIECES, max_size=5),
    st.sampled_from(["; ", ";", "\n", "\uff1b"]),
)
E2E_GOLD = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(LABELS),
        st.lists(st.sampled_from(SHARES), max_size=2),
    ),
    max_size=4,
)
E2E_LINES = st.lists(
    st.tuples(RESPONSES, E2E_GOLD, st.sampled_from(SIZES)), min_size=1, max_size=25
)


@pytest.mark.slow  # seconds
@settings(max_examples=150, deadline=None)
@given(E2E_LINES)
def test_e2e(tmp_path_factory: pytest.TempPathFactory, lines: list[Any]) -> None:
    path = tmp_path_factory.mktemp("e2e") / "test.jsonl"
    rows = [{"response_answer_scaled": said, "orig_size": size} for said, _, size in lines]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = read_foreign(path, "e2e").samples
    score = PROTOCOLS["e2e"].scorer()
    for (said, shares, size), sample in zip(lines, found, strict=True):
        width, height = size
        gold = [
            (name, label, [scaled(one, size) for one in boxes]) for name, label, boxes in shares
        ]
        annotated = tuple(
            AnnotatedEntity(name, label, boxes=tuple(Box(*one) for one in boxes))
            for name, label, boxes in gold
        )
        case = Case("1", sample.predicted, annotated, size=sample.size)
        assert plain(score(case)) == e2e_counts(said, gold, width, height)


def scaled(share: Corners, size: tuple[int, int]) -> Corners:
    width, height = size
    return share[0] * width, share[1] * height, share[2] * width, share[3] * height


@given(st.integers(28, 5000), st.integers(28, 5000))
def test_the_sides_of_the_resized_image(width: int, height: int) -> None:
    if max(width, height) / min(width, height) <= 200:
        assert tuple(RESIZE(ImageSize(width, height))) == e2e_resized(width, height)


# TIGER

BOXES: list[Corners] = [
    (0, 0, 100, 100),
    (0, 0, 100, 50),
    (0, 0, 100, 49),
    (0, 0, 100, 60),
    (200, 200, 300, 300),
]
TIGER_NAMES = [
    "J",
    "True Detective",
    "Sofa True",
    "Anne False",
    "A and a B",
    "This is a Test",
    "X, which",
    "J [SSEP] K",
    "False",
    "K",
]
CANDIDATES = st.lists(st.none() | st.sampled_from(BOXES), max_size=5)


@st.composite
def tiger_cases(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    candidates = draw(CANDIDATES)
    names, labels = st.sampled_from(TIGER_NAMES), st.sampled_from(["film", "city"])
    places = st.integers(0, len(candidates) - 1) if candidates else st.none()
    said = draw(st.lists(st.tuples(names, labels, st.booleans(), places), max_size=5))
    boxes = st.lists(st.sampled_from(BOXES), max_size=2)
    return said, draw(st.lists(st.tuples(names, labels, boxes), max_size=5)), candidates


@pytest.mark.slow  # seconds
@settings(max_examples=2500, deadline=None)
@given(tiger_cases())
def test_tiger(drawn: tuple[Any, Any, Any]) -> None:
    said, gold, candidates = drawn
    case = Case(
        "1",
        tuple(
            PredictedEntity(
                words,
                label,
                groundable=shown,
                regions=None if shown else (),
                candidate=index if shown else None,
            )
            for words, label, shown, index in said
        ),
        tuple(
            AnnotatedEntity(words, label, boxes=tuple(Box(*one) for one in boxes))
            for words, label, boxes in gold
        ),
        proposals=tuple(None if one is None else Box(*one) for one in candidates),
    )
    expected = tiger_counts(said, gold, candidates)
    in_loop = expected.pop("in-loop")
    assert plain(PROTOCOLS["tiger"].scorer()(case)) == expected
    assert plain(PROTOCOLS["tiger-inloop"].scorer()(case)) == {"gmner": in_loop}


# UnCo and SAKE

WORDS = {(0, 1): "J", (1, 2): "K", (4, 5): "J"}
SYSU_ROWS = st.lists(
    st.tuples(
        st.sampled_from(list(WORDS)),
        st.sampled_from(LABELS),
        st.lists(st.sampled_from(BOXES), max_size=2, unique=True),
    ),
    max_size=5,
)


@pytest.mark.parametrize("protocol", ["sysu-unco", "sysu-sake"])
@pytest.mark.slow  # seconds
@settings(max_examples=1000, deadline=None)
@given(said=SYSU_ROWS, gold=SYSU_ROWS)
def test_sysu(protocol: str, said: Any, gold: Any) -> None:
    case = Case(
        "1",
        tuple(
            PredictedEntity(
                WORDS[span],
                label,
                Span(*span),
                groundable=bool(boxes),
                regions=tuple(Region(Box(*one)) for one in boxes),
            )
            for span, label, boxes in said
        ),
        tuple(
            AnnotatedEntity(WORDS[span], label, Span(*span), boxes=tuple(Box(*b) for b in boxes))
            for span, label, boxes in gold
        ),
    )

    def key(span: tuple[int, int]) -> Any:
        return span if protocol == "sysu-unco" else WORDS[span]

    rows = [(key(span), label, box) for span, label, boxes in gold for box in boxes or [None]]
    first = [(key(span), label, boxes[0] if boxes else None) for span, label, boxes in said]
    assert plain(PROTOCOLS[protocol].scorer()(case)) == sysu_counts(first, rows)


@pytest.mark.parametrize(
    ("response", "expected", "reason"),
    [
        ("J\u4e28PER\u4e28None", (1, 1, 1), "the Han radical is a bar"),
        ("J\uffe8PER\uffe8None", (1, 1, 1), "so is the half-width one"),
        ("J\u2503PER\u2503None", (0, 0, 1), "the heavy one is not"),
        ("J\u00a6PER\u00a6None", (0, 0, 1), "nor the broken one"),
        ("||", (0, 0, 1), "empty parts are none"),
        ("|PER|None", (0, 0, 1), "a piece without words"),
        ("A||None", (0, 0, 1), "a piece without a type"),
        ("J|PER|[0,0,560,560,7]", (0, 1, 1), "a fifth number spoils all"),
        ("a</THINK>J|PER|None</think>", (0, 1, 1), "what follows the first thought"),
    ],
)
def test_answers_of_e2e_by_hand(
    tmp_path: Path, response: str, expected: Numbers, reason: str
) -> None:
    path = tmp_path / "test.jsonl"
    row = {"response_answer_scaled": response, "orig_size": [560, 560]}
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    (sample,) = read_foreign(path, "e2e").samples
    case = Case("1", sample.predicted, (AnnotatedEntity("J", "PER", boxes=()),), size=sample.size)
    assert PROTOCOLS["e2e"].scorer()(case)["gmner"] == Count(*expected), reason
