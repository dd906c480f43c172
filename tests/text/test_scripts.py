"""The script of words, as far as a run's notes tell it."""

import pytest

from riveg.text.scripts import foreign_script, script_of
from riveg.text.tokenise import tokenise


@pytest.mark.parametrize(
    ("character", "script"),
    [
        pytest.param("a", "Latin", id="a letter"),
        pytest.param("ø", "Latin", id="with a stroke"),
        pytest.param("𝓐", "Latin", id="in another type"),
        pytest.param("Ａ", "Latin", id="in full width"),
        pytest.param("я", "Cyrillic", id="Cyrillic"),
        pytest.param("ب", "Arabic", id="Arabic"),
        pytest.param("ﷺ", "Arabic", id="a word in one sign"),
        pytest.param("か", "Hiragana", id="kana"),
        pytest.param("安", "Han", id="Han"),
        pytest.param("한", "Hangul", id="Hangul"),
        pytest.param("7", None, id="a digit"),
        pytest.param("😀", None, id="an emoji"),
        pytest.param("\x00", None, id="a control character"),
        pytest.param("\ue000", None, id="of private use"),
    ],
)
def test_the_script_of_a_letter(character: str, script: str | None) -> None:
    assert script_of(character) == script


@pytest.mark.parametrize(
    ("text", "script"),
    [
        pytest.param("the day was long", None, id="known"),
        pytest.param("Президент России посетил NASA", "Cyrillic", id="a Latin name in it"),
        pytest.param("President Путин of Россия", None, id="half of the words"),
        pytest.param("the word 安 twice", None, id="one word"),
        pytest.param("12 :) 😀 !", None, id="no letters"),
        pytest.param("", None, id="nothing"),
        pytest.param("我 去 Москва a", "Han", id="of several the most frequent"),
    ],
)
def test_most_words_are_of_another_script(text: str, script: str | None) -> None:
    assert foreign_script(tokenise(text)[0], {"Latin"}) == script


def test_what_is_known_is_not_foreign() -> None:
    assert foreign_script(["Путин"], {"Latin", "Cyrillic"}) is None
