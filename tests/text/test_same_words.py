"""Places that read like a copy, and have other words."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.text.alignment import TokenAligner, Unaligned
from riveg.text.function_words import function_words
from riveg.text.tokenise import tokenise


def found(text: str, words: str) -> str | None:
    """The words as they stand in the text, or nothing."""
    offsets = tokenise(text)[1]
    try:
        span = TokenAligner(text, offsets).find(words)
    except Unaligned:
        return None
    return text[offsets[span.start][0] : offsets[span.end - 1][1]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I ran to Mali", "Iran"),
        ("I RAN TO MALI", "Iran"),
        ("I Ran To Mali", "Iran"),
        ("So I #ran", "Iran"),
        ("we are a mazon", "Amazon"),
        ("we are a mazon", "AMAZON"),
        ("I phone you", "iPhone"),
        ("may be May", "Maybe"),
        ("to get her", "together"),
        ("4 u. so late", "USO"),
        ("at 9 11 people", "911"),
        ("я пония", "Япония"),
        ("هو من صور القاهرة", "منصور"),
        ("therapist", "the rapist"),
        ("a noble man", "no ble"),
    ],
)
def test_a_blank_makes_other_words(text: str, words: str) -> None:
    assert found(text, words) is None


@pytest.mark.parametrize(
    ("text", "words", "place"),
    [
        ("in New York", "NewYork", "New York"),
        ("in new york", "NewYork", "new york"),
        ("my Face Book", "Facebook", "Face Book"),
        ("I met An Lee", "AnLee", "An Lee"),
        ("by J. K. Rowling", "JK Rowling", "J. K. Rowling"),
        ("the U S A", "USA", "U S A"),
        ("my i Phone", "iPhone", "i Phone"),
        ("Windows 10", "Windows10", "Windows 10"),
        ("at NewYork", "New York", "NewYork"),
        ("at newyork", "New York", "newyork"),
        ("hi #amywinehouse", "Amy Winehouse", "amywinehouse"),
        ("hi #thewho", "The Who", "thewho"),
        ("hi @the_who", "The Who", "the_who"),
        ("山 田 太郎", "山田太郎", "山 田 太郎"),
        ("김 민수는", "김민수", "김 민수"),
        ("زار عبد الله", "عبدالله", "عبد الله"),
        ("رئیس\u200cجمهور", "رئیس جمهور", "رئیس\u200cجمهور"),
        ("a C ++ book", "C++", "C ++"),
    ],
)
def test_a_blank_is_left_out_where_a_name_is_written_so(text: str, words: str, place: str) -> None:
    assert found(text, words) == place


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tell us now", "US"),
        ("tell us now", "U.S."),
        ("who is he", "WHO"),
        ("Who is he", "WHO"),
        ("it 's it", "IT"),
        ("It's", "IT"),
        ("you may go", "May"),
        ("I am here", "a.m."),
        ("Ich komme mit dir", "MIT"),
        ("Das ist über dem Haus", "Uber"),
        ("il est à la maison", "LA"),
        ("мы и они там", "МЫ"),
        ("جلس على الكرسي", "علي"),
    ],
)
def test_a_function_word_is_no_name_written_otherwise(text: str, words: str) -> None:
    assert found(text, words) is None


@pytest.mark.parametrize(
    ("text", "words", "place"),
    [
        ("tell us of the US", "US", "US"),
        ("tell us", "us", "us"),
        ("TELL US", "us", "US"),
        ("live in the US\u200e", "U\u200eS", "US"),
        ("made by nasa", "NASA", "nasa"),
        ("he studies at mit", "MIT", "mit"),
        ("living in la", "LA", "la"),
        ("a fan of the who", "The Who", "the who"),
        ("hi @who", "WHO", "who"),
        ("go #us", "US", "us"),
    ],
)
def test_names_keep_their_freedom_of_case(text: str, words: str, place: str) -> None:
    assert found(text, words) == place


@given(st.sampled_from(sorted(function_words(""))), st.sampled_from([str.upper, str.title]))
def test_no_english_function_word_becomes_a_name(word: str, write: Callable[[str], str]) -> None:
    assert found(f"9 {word} 9", write(word)) is None


SMALL = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=6)


@given(SMALL, SMALL)
def test_small_words_are_not_joined_to_a_name(left: str, right: str) -> None:
    text = f"9 {left} {right} 9"
    for words in (left + right, (left + right).title(), (left + right).upper()):
        assert found(text, words) is None or found(text, words) == words


def test_the_reason_names_the_words_that_stand_there() -> None:
    text = "I ran to Mali"
    with pytest.raises(Unaligned) as caught:
        TokenAligner(text, tokenise(text)[1]).find("Iran")
    assert str(caught.value) == (
        "'Iran' does not stand in the text, only 'I ran'; copy words as they stand there"
    )


@pytest.mark.slow
@pytest.mark.parametrize("repeated", ["An Lee ", "a b ", "山 ", "us ", "#Ann, ", "ab", "র"])
def test_a_long_text_takes_no_quadratic_time(repeated: str) -> None:
    """Ten times the text takes less than half of a hundred times as long, at the best of three."""
    small, large = (min(_seconds(repeated * count) for _ in range(3)) for count in (1_000, 10_000))
    assert large < 50 * max(small, 0.02)


def _seconds(text: str) -> float:
    offsets = tokenise(text)[1]
    started = time.perf_counter()
    for words in ("AnLee", "AB", "山山", "US", "Ann Ann", "b", "র"):
        try:
            TokenAligner(text, offsets).find(words)
        except Unaligned:
            continue
    return time.perf_counter() - started
