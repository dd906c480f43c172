"""The forms of an answer: what is written is read again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riveg.geometry.frames import FRAMES
from riveg.llm.conversation import Response
from riveg.llm.json_answers import without_thoughts
from riveg.stages.extractors.answers import FORMS, StatedEntity
from riveg.stages.grounders.answers import read_faultless_boxes, write_boxes

SEPARATORS = "|;；｜│丨￨∣"
WORDS = (
    st.text(
        st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"]),
        min_size=1,
        max_size=20,
    )
    .map(str.strip)
    .filter(bool)
)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[int, int, int, int]:
    left, upper = draw(st.integers(0, 1000)), draw(st.integers(0, 1000))
    return left, upper, left + draw(st.integers(1, 999)), upper + draw(st.integers(1, 999))


LISTS = st.lists(boxes(), max_size=3).map(tuple)


@st.composite
def entities(draw: st.DrawFn, words: st.SearchStrategy[str]) -> list[StatedEntity]:
    return [
        StatedEntity(draw(words), draw(st.sampled_from(["PER", "LOC"])), 1, draw(LISTS), (0, 0))
        for _ in range(draw(st.integers(0, 4)))
    ]


PLAIN = WORDS.filter(lambda words: not {*SEPARATORS, "<"} & {*words})


@pytest.mark.parametrize(("name", "words"), [("triples", PLAIN), ("json", WORDS)])
@settings(deadline=None)
@given(data=st.data())
def test_what_is_written_is_read_again(
    name: str, words: st.SearchStrategy[str], data: st.DataObject
) -> None:
    stated = data.draw(entities(words))
    read = FORMS[name].read(Response(FORMS[name].write(stated), "stop"), FRAMES["norm1000"])
    assert read.faults == ()
    assert [(one.words, one.label, one.boxes) for one in read.entities] == [
        (one.words, one.label, one.boxes) for one in stated
    ]


@settings(deadline=None)
@given(entities(WORDS), st.integers(1, 3))
def test_lists_of_sake_are_read_again(some: list[StatedEntity], times: int) -> None:
    """Each entity once, or as often with the same boxes."""
    once = {one.words: replace(one, boxes=tuple(dict.fromkeys(one.boxes or ()))) for one in some}
    stated = [*once.values()] * times
    form = FORMS["entity-lists"]
    read = form.read(Response(form.write(stated), "stop"), FRAMES["norm1000"])
    assert read.faults == ()
    assert [(one.words, one.label, one.boxes) for one in read.entities] == [
        (one.words, one.label, one.boxes) for one in stated
    ]
    numbers = [one.occurrence for one in read.entities]
    assert numbers == [number for number in range(1, times + 1) for _ in once]


@given(LISTS)
def test_boxes_that_are_written_are_read_again(
    listed: tuple[tuple[int, int, int, int], ...],
) -> None:
    frame = FRAMES["norm1000"]
    assert read_faultless_boxes(Response(write_boxes(listed), "stop"), frame=frame) == listed


def test_a_thought_stands_before_the_answer_where_the_form_takes_one() -> None:
    ann = StatedEntity("Ann", "PER", 1, (), (0, 0))
    said = {name: form.write([ann], "Ann sings.") for name, form in FORMS.items()}
    assert said["triples"] == "<think>Ann sings.</think><answer>Ann|PER|None</answer>"
    for name, form in FORMS.items():
        assert form.takes_thoughts == ("Ann sings." in said[name])
        read = form.read(Response(without_thoughts(said[name]), "stop"), FRAMES["norm1000"])
        assert [one.words for one in read.entities] == ["Ann"]
