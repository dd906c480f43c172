from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.types import Box, Observation
from riveg.vision.plain.names_in_ocr import edit_distance, find_spellings, likeness


def line(
    text: str, x: float = 100, y: float = 100, width: float = 300, height: float = 30
) -> Observation:
    return Observation("text", Box(x, y, x + width, y + height), 0.9, text)


@pytest.mark.parametrize(
    ("name", "read", "surname", "found"),
    [
        ("Woodstock", "WOODSTOCK", False, True),  # case folded
        ("Woodstock", "WO0DSTOCK", False, True),  # one letter in nine misread
        ("NASA", "NASB", False, False),  # short names must be exact
        ("NASA", "NASAL", False, False),  # nor may they have a letter more
        ("Boston", "BOSTONS", False, True),  # one letter in six more
        ("CITY", "CITYSTADIUM", False, False),  # part of a word
        ("CITY", "OLD CITY STADIUM", False, True),  # a whole word of a line
        ("# RioDeJaneiro", "RIO DE JANEIRO", False, True),  # a hashtag written together
        ("Rio de Janeiro", "#RioDeJaneiro", False, True),  # and the other way round
        ("Manchester City", "MANCHESTERCITY", False, True),  # OCR lost the blank
        ("Manchester City", "MANCHESTER UNITED", False, False),  # half a name is another club
        ("Manchester City", "MANCHESTER", False, False),
        ("@ nasa", "NASA", False, True),  # a handle
        ("The Who", "WHO", False, True),  # the article may be missing
        ("Kevin Durant", "DURANT 35", True, True),  # a jersey has the surname
        ("Kevin Durant", "DURANT 35", False, False),  # only people have one
        ("Bo Li", "LI", True, False),  # too short a surname to tell anything
        ("X", "X", False, False),  # one letter is no name
        ("🚀", "ROCKET", False, False),  # no word at all
        ("Straße", "STRASSE", False, True),  # full case folding
    ],
)
def test_whole_words_spell_a_name(name: str, read: str, surname: bool, found: bool) -> None:
    assert bool(find_spellings(name, [line(read)], surname=surname)) is found


def test_box_is_the_words_share_of_the_line() -> None:
    (found,) = find_spellings("Madrid", [line("Barcelona Madrid", x=0, width=160)])
    assert 85 < found.box.x_min < 105
    assert found.box.x_max == pytest.approx(160)
    assert found.score == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("second", "found"),
    [
        (line("CITY", y=135), True),  # right below
        (line("CITY", y=300), False),  # far below
        (line("CITY", x=405, width=100), True),  # right beside
        (line("CITY", x=700, width=100), False),  # far beside
    ],
)
def test_names_go_on_in_neighbouring_lines(second: Observation, found: bool) -> None:
    first = line("MANCHESTER")
    spellings = find_spellings("Manchester City", [first, second])
    assert bool(spellings) is found
    if found:
        assert spellings[0].box.x_min == first.box.x_min
        assert spellings[0].box.y_max == second.box.y_max


def test_every_place_is_found_best_first() -> None:
    exact, misread = line("Apollo 11", y=400), line("ApoIlo 11", y=10)
    found = find_spellings("Apollo 11", [misread, exact])
    assert [one.box.y_min for one in found] == [400, 10]
    assert found[0].score > found[1].score


@pytest.mark.parametrize(
    ("headline", "caption", "first", "why"),
    [
        ("APOLLO 11", "The lander of Apollo 11", 10, "the larger of like spellings"),
        ("AP0LLO 11", "The lander of Apollo 11", 400, "likeness comes before size"),
    ],
)
def test_a_headline_comes_before_a_caption(
    headline: str, caption: str, first: float, why: str
) -> None:
    observations = [
        replace(line(caption, y=400, height=12), score=0.99),  # read more surely than the headline
        line(headline, y=10, height=60),
    ]
    found = find_spellings("Apollo 11", observations)
    assert len(found) == 2
    assert found[0].box.y_min == first, why


@pytest.mark.parametrize(
    ("second", "alone", "why"),
    [
        (None, True, "nothing else in the line"),
        (line("TOUR", x=405, width=60), True, "another line is another line"),
        (line("TOUR 1969", y=300), True, "far away"),
    ],
)
def test_a_name_alone_in_its_line(second: Observation | None, alone: bool, why: str) -> None:
    observations = [line("WOODSTOCK"), *([second] if second else [])]
    (found,) = find_spellings("Woodstock", observations)
    assert found.fills_lines is alone, why
    (among,) = find_spellings("Woodstock", [line("WOODSTOCK 1969")])
    assert not among.fills_lines


def test_full_name_beats_surname_in_the_same_place() -> None:
    (found,) = find_spellings("Neil Armstrong", [line("NEIL ARMSTRONG")], surname=True)
    assert found.box.x_min == pytest.approx(100)


def test_only_ocr_text_is_read() -> None:
    face = Observation("face", Box(0, 0, 10, 10), 0.9, "NASA")
    assert find_spellings("NASA", [face]) == ()


@pytest.mark.parametrize(
    ("first", "second", "like"),
    [
        ("nasa", "nasa", 1.0),
        ("nasa", "nasal", 0.0),  # the shorter has four letters: none may differ
        ("apple", "apples", 5 / 6),  # of five one may
        ("apple", "apply", 4 / 5),
        ("apple", "ample1", 0.0),
        ("", "", 0.0),
    ],
)
def test_likeness_by_hand(first: str, second: str, like: float) -> None:
    assert likeness(first, second) == pytest.approx(like)


words = st.text("abcde", max_size=8)


@given(words, words)
def test_distance_is_a_metric(first: str, second: str) -> None:
    distance = edit_distance(first, second)
    assert distance == edit_distance(second, first)
    assert (distance == 0) is (first == second)
    assert abs(len(first) - len(second)) <= distance <= max(len(first), len(second))


@given(words, words)
def test_likeness_is_symmetric_and_bounded(first: str, second: str) -> None:
    assert likeness(first, second) == likeness(second, first)
    assert 0 <= likeness(first, second) <= 1
    if first:
        assert likeness(first, first) == 1
