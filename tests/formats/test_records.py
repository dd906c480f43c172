"""Records to lines and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.formats.records import decode, encode
from riveg.types import (
    Box,
    Entailment,
    Entity,
    ImageRef,
    Issue,
    Mask,
    Observation,
    Region,
    Sample,
    Span,
)

finite = st.floats(-1e6, 1e6)
probability = st.none() | st.floats(0, 1)
name = st.text(max_size=12)
boxes = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h), finite, finite, st.floats(1, 1e4), st.floats(1, 1e4)
)
masks = st.builds(Mask, st.integers(1, 9), st.integers(1, 9), name, st.none() | name)
regions = st.builds(Region, boxes, probability, st.none() | masks, st.none() | name)
entities = st.builds(
    Entity,
    name,
    name,
    name,
    st.builds(lambda start, size: Span(start, start + size), st.integers(0, 9), st.integers(1, 9)),
    probability,
    st.none() | st.dictionaries(name, st.floats(0, 1), max_size=3),
    entailment=st.none() | st.builds(Entailment, probability, st.booleans(), st.none() | name),
    regions=st.none() | st.lists(regions, max_size=2).map(tuple),
)
samples = st.builds(
    Sample,
    name,
    name,
    st.lists(name, max_size=3).map(tuple),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=3).map(tuple),
    st.none() | st.builds(ImageRef, name, st.none() | st.integers(1, 9), st.none()),
    observations=st.none()
    | st.lists(st.builds(Observation, name, boxes, probability, st.none() | name)).map(tuple),
    entities=st.none() | st.lists(entities, max_size=2).map(tuple),
    issues=st.lists(st.builds(Issue, name, st.none() | name, name, name), max_size=2).map(tuple),
)


@given(samples)
def test_a_record_comes_back_as_it_was(sample: Sample) -> None:
    line = encode(sample)
    assert b"\n" not in line
    assert decode(Sample, line) == sample


def test_what_utf8_cannot_hold_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match="a Sample cannot be written"):
        encode(Sample("a", "\ud800", ("\ud800",), ((0, 1),)))


def test_not_answered_and_nothing_there_stay_apart() -> None:
    one = Sample("a", "x", ("x",), ((0, 1),), entities=None)
    other = Sample("a", "x", ("x",), ((0, 1),), entities=())
    assert decode(Sample, encode(one)).entities is None
    assert decode(Sample, encode(other)).entities == ()


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b'{"id":"a","text":"x","tokens":[],"offsets":[],"flavour":1}', "flavour"),  # unknown key
        (b'{"id":"a"}', "text"),  # missing key
        (b'{"id":1,"text":"x","tokens":[],"offsets":[]', "line"),  # cut off
        (b'{"id":"a","text":"x","tokens":[],"offsets":[],"image":{"path":"p","w":3}}', "image.w"),
    ],
)
def test_what_is_no_record_is_refused_with_its_place(line: bytes, word: str) -> None:
    with pytest.raises(UserError, match=rf"records\.jsonl:7: not a Sample.*{word}"):
        decode(Sample, line, where="records.jsonl:7")


@pytest.mark.parametrize(
    "edges",
    [(0, 0, 0, 5), (5, 0, 1, 5), (0, 0, float("nan"), 5), (0, 0, float("inf"), 5)],
)
def test_no_sentinel_boxes(edges: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="a box needs"):
        Box(*edges)


def test_a_span_is_not_empty() -> None:
    with pytest.raises(ValueError, match="0 <= start < end"):
        Span(3, 3)
