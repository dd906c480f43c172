from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.llm.answer_text import one_line, phrase_of, text_of
from riveg.llm.conversation import Unparsable


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  a  red\n ball\t", "a red ball"),
        ("a\u2028b\u0085c", "a b c"),  # line ends of Unicode
        ("\u202eevil\u2066\u200f", "evil"),  # direction marks
        ("a\x00\x1b[31mb", "a[31mb"),  # controls, a terminal's colours
        ("\ud800x", "x"),  # half a character
        ("نمی\u200cخواهم", "نمی\u200cخواهم"),  # Persian needs its joiner
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("", ""),
    ],
)
def test_one_line(text: str, line: str) -> None:
    assert one_line(text) == line


@given(st.text())
def test_one_line_has_no_hidden_characters_and_is_stable(text: str) -> None:
    line = one_line(text)
    assert one_line(line) == line
    assert line == line.strip()
    assert not [one for one in line if unicodedata.category(one) in {"Cc", "Cs", "Zl", "Zp"}]


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("a red ball", "a red ball"),
        (' "a red ball." ', "a red ball"),
        ("“A football league in England”.", "A football league in England"),
        ("the St. James Park", "the St. James Park"),
        ("`dog`", "dog"),
    ],
)
def test_phrases(text: str, phrase: str) -> None:
    assert phrase_of(text, "the phrase", 40) == phrase


@pytest.mark.parametrize("text", ["", " \n", '""', ".", "\u202e"])
def test_a_phrase_of_nothing_is_refused(text: str) -> None:
    with pytest.raises(Unparsable, match="the phrase is empty"):
        phrase_of(text, "the phrase", 40)


def test_bounds_are_kept() -> None:
    assert phrase_of("x" * 40, "the phrase", 40) == "x" * 40
    with pytest.raises(Unparsable, match="the phrase has 41 characters, it may have 40"):
        phrase_of("x" * 41, "the phrase", 40)
    with pytest.raises(Unparsable, match="it has 3 characters"):
        text_of("abc", "it", 2)
    assert text_of('He said "hi."', "it", 40) == 'He said "hi."'
