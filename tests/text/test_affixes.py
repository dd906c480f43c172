"""Names that an ending or a prefix is written onto, and names within the word of a hashtag."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.text.alignment import TokenAligner, Unaligned
from riveg.text.tokenise import join_tokens, tokenise
from riveg.types import Span


def found(text: str, words: str, occurrence: int = 1) -> str:
    offsets = tokenise(text)[1]
    span = TokenAligner(text, offsets).find(words, occurrence)
    return text[offsets[span.start][0] : offsets[span.end - 1][1]]


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("রবীন্দ্রনাথ ঠাকুরের", "রবীন্দ্রনাথ ঠাকুর"),
        ("বাংলাদেশে", "বাংলাদেশ"),
        ("হৃদয়ের", "হৃদয়"),
        ("விஜய்யின்", "விஜய்"),
        ("ரஜினிகாந்தின்", "ரஜினிகாந்த்"),
        ("சென்னையில்", "சென்னை"),
        ("హైదరాబాద్\u200cలో", "హైదరాబాద్"),
        ("ಬೆಂಗಳೂರಿನಲ್ಲಿ", "ಬೆಂಗಳೂರು"),
        ("ರಮೇಶನ", "ರಮೇಶ್"),
        ("മോഹൻലാലിന്റെ", "മോഹൻലാൽ"),
        ("മോഹൻലാലിന്റെ", "മോഹന്\u200dലാല്\u200d"),
        ("मुंबईत", "मुंबई"),
        ("काठमाडौंमा", "काठमाडौं"),
        ("અમદાવાદમાં", "અમદાવાદ"),
        ("රමේෂ්ගේ", "රමේෂ්"),
        ("בירושלים", "ירושלים"),
        ("ובתל אביב", "תל אביב"),
        ("وبالقاهرة", "القاهرة"),
        ("لمصر", "مصر"),
    ],
)
def test_the_whole_word_stands_for_a_name_with_an_ending_or_prefix(word: str, name: str) -> None:
    assert found(f"1 {word} 2", name) == word
    assert found(f"{word} {name}", name) == name, "the name alone goes first"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("রামায়ণ", "রাম"),
        ("രാമായണം", "രാമ"),
        ("ರಾಮನ", "ರಾಮು"),
        ("சென்", "செ"),
        ("भारतीय", "भारत"),
        ("بدر", "در"),
        ("Annual", "Ann"),
        ("Berlins", "Berlin"),
        ("Москвами", "Москва"),
    ],
)
def test_other_words_that_hold_a_name_are_not_the_name(text: str, name: str) -> None:
    with pytest.raises(Unaligned):
        found(text, name)


@pytest.mark.parametrize(
    ("token", "name", "is_found"),
    [("김민수는", "김민수", True), ("서울에서", "서울", True), ("이란제리", "이란", False)],
)
def test_korean_words_of_data_with_its_own_tokens(token: str, name: str, is_found: bool) -> None:
    text, offsets = join_tokens([token, "9"])
    aligner = TokenAligner(text, offsets)
    if is_found:
        assert aligner.find(name) == Span(0, 1)
    else:
        with pytest.raises(Unaligned):
            aligner.find(name)


def test_words_with_endings_are_counted() -> None:
    assert found("ঢাকায় ঢাকার", "ঢাকা", 2) == "ঢাকার"
    with pytest.raises(Unaligned, match="stands 2 times"):
        found("ঢাকায় ঢাকার", "ঢাকা", 3)


@given(st.text("abcdefghijklmnopqrstuvwxyzäöéабвгд", min_size=1, max_size=9), st.data())
def test_no_part_of_a_word_with_case_is_a_name(word: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(word) - 1))
    part = word[start : data.draw(st.integers(start + 1, len(word)))]
    if part != word:
        with pytest.raises(Unaligned):
            found(f"9 {word} 9", part)


@pytest.mark.parametrize(
    ("text", "name", "word"),
    [
        ("so #PrayForParis", "Paris", "PrayForParis"),
        ("so # PrayForParis", "Paris", "PrayForParis"),
        ("so #Trump2020", "Trump", "Trump2020"),
        ("so @BarackObama", "obama", "BarackObama"),
    ],
)
def test_a_part_of_a_hashtag_is_refused_with_what_can_be_said(
    text: str, name: str, word: str
) -> None:
    with pytest.raises(Unaligned) as caught:
        found(text, name)
    assert str(caught.value) == (
        f"{name!r} is only a part of {word!r} there, which is one word: "
        "copy all of it if it is an entity, or leave it out"
    )
    assert found(text, word) == word
