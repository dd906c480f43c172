"""Hypothesis strategies for records of any shape that a run may hold."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers.small_runs import IMAGES, SIDES, boxes
from riveg.geometry.masks import mask_from_array
from riveg.text.tokenise import join_tokens
from riveg.types import Entailment, Entity, ImageRef, Issue, Mask, Region, Sample, Span

WORDS = ("Ann", "東京", "👩‍🚀", "</b>", "a\tb", "\u2028", "é", "\x1b[31m", "B-PER", "")


def probabilities() -> st.SearchStrategy[float | None]:
    return st.none() | st.floats(0, 1)


@st.composite
def masks(draw: st.DrawFn, sides: tuple[int, int] = SIDES) -> Mask:
    """Sparse blocks over the whole image: parts, holes, edges, and sometimes no pixel."""
    width, height = sides
    coarse = draw(arrays(np.bool_, (6, 8)))
    array = np.kron(coarse, np.ones((height // 6, width // 8), dtype=bool)).astype(bool)
    for _ in range(draw(st.integers(0, 3))):
        array[draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))] ^= True
    return mask_from_array(array, draw(st.sampled_from([None, "grabcut"])))


def regions() -> st.SearchStrategy[Region]:
    return st.builds(
        Region, boxes(), probabilities(), st.none() | masks(), st.sampled_from([None, "x:face"])
    )


@st.composite
def entities(draw: st.DrawFn, number: int, tokens: tuple[str, ...]) -> Entity:
    start = draw(st.integers(0, len(tokens) - 1))
    end = draw(st.integers(start + 1, len(tokens)))
    gate = st.builds(Entailment, probabilities(), st.booleans(), st.sampled_from([None, "mini"]))
    return Entity(
        id=f"e{number}",
        text=" ".join(tokens[start:end]),
        label=draw(st.sampled_from(["PER", "LOC", "SHIP & CO"])),
        span=Span(start, end),
        score=draw(probabilities()),
        label_scores=draw(st.none() | st.just({"PER": 0.75, "LOC": 0.25})),
        fine_label=draw(st.sampled_from([None, "actor", "ship & <b>"])),
        expression=draw(st.none() | st.just("a person")),
        entailment=draw(st.none() | gate),
        regions=draw(st.none() | st.lists(regions(), max_size=2).map(tuple)),
    )


@st.composite
def samples(draw: st.DrawFn, number: int) -> Sample:
    tokens = tuple(draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=5)))
    text, offsets = join_tokens(tokens)
    many = draw(st.none() | st.integers(0, 3))
    found = None if many is None else tuple(draw(entities(n, tokens)) for n in range(many))
    pixels = draw(st.sampled_from([None, *IMAGES, "../x.jpg", "missing.jpg"]))
    sides = draw(st.sampled_from([SIDES, (None, None)]))
    issues = st.just(()) | st.just((Issue("ground", "e0", "timeout", "no\nanswer"),))
    return Sample(
        id=draw(st.sampled_from(["1", "ünï/../:", "東京", ".."])) + str(number),
        text=text,
        tokens=tokens,
        offsets=offsets,
        image=None if pixels is None else ImageRef(pixels, *sides),
        caption=draw(st.none() | st.just("a street")),
        entities=found,
        issues=draw(issues),
    )


def runs() -> st.SearchStrategy[list[Sample]]:
    """The records of a small run; ids are distinct."""
    return st.integers(1, 3).flatmap(
        lambda many: st.tuples(*(samples(number) for number in range(many))).map(list)
    )
