import unicodedata
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.text.alignment import TokenAligner, Unaligned, without_overlaps
from riveg.text.tokenise import join_tokens, tokenise
from riveg.types import Span


def aligner(text: str) -> TokenAligner:
    return TokenAligner(text, tokenise(text)[1])


@pytest.mark.parametrize(
    ("text", "wanted", "occurrence", "words", "reason"),
    [
        ("Ada met Bob", "Bob", 1, (2, 3), "as it stands"),
        ("New York is not York", "York", 2, (4, 5), "the second York"),
        ("New York is not York", "York", 1, (1, 2), "the first York, inside of another name"),
        ("NASA and nasa", "nasa", 1, (2, 3), "exact letters go before other letters"),
        ("NASA and nasa", "Nasa", 2, (2, 3), "counted without regard to case"),
        ("Ada met Bob", "Bob", 7, (2, 3), "one place only: a wrong count means nothing"),
        ("Ada met Bob", " Bob\n", 1, (2, 3), "blanks around it"),
        ("met New\n York", "new york", 1, (1, 3), "line end and case"),
        ("Beyoncé sang", "Beyonce", 1, (0, 1), "without the accent"),
        ("Beyonce\u0301 sang", "Beyonc\u00e9", 1, (0, 1), "decomposed and composed"),
        ("the “Star Wars” film", '"Star Wars"', 1, (1, 5), "quotation marks of another kind"),
        ("O’Neill won", "O'Neill", 1, (0, 3), "apostrophe of another kind"),
        ("# Team USA", "#Team USA", 1, (0, 3), "a blank that was not copied"),
        ("#TeamUSA wins", "#TeamUSA", 1, (0, 2), "a hashtag is two tokens"),
        ("in the U.S. today", "U. S.", 1, (2, 6), "a blank that was made up"),
        ("Straße 5", "STRASSE", 1, (0, 1), "one letter that folds to two"),
        ("ﬁrst ﬁlm", "film", 1, (1, 2), "a ligature is two letters"),
        ("大阪 で 会う", "大阪", 1, (0, 2), "letters without case"),
        ("मुंबई बढ़िया", "मुंबई", 1, (0, 1), "vowel signs belong to their letters"),
        ("a\u200bNASA here", "aNASA", 1, None, "a cut by a zero width blank is no cut of the name"),
    ],
)
def test_words_are_found_among_the_tokens(
    text: str, wanted: str, occurrence: int, words: tuple[int, int] | None, reason: str
) -> None:
    if words is None:
        assert aligner(text).find(wanted, occurrence).start == 0
    else:
        assert aligner(text).find(wanted, occurrence) == Span(*words), reason


@pytest.mark.parametrize(
    ("text", "wanted", "occurrence", "message"),
    [
        ("Ada met Bob", "Eve", 1, "'Eve' does not stand in the text"),
        ("Ada met Adam", "dam", 1, "'dam' is only a part of 'Adam' there, copy whole words"),
        ("Ada met Ada", "Ada", 3, "'Ada' stands 2 times in the text, there is no occurrence 3"),
        ("Ada met Ada", "Ada", 0, "'Ada' stands 2 times in the text, there is no occurrence 0"),
        ("Ada met Bob", "", 1, "an entity needs words"),
        ("Ada met Bob", " \u200b ", 1, "an entity needs words"),
        ("", "Ada", 1, "'Ada' does not stand in the text"),
    ],
)
def test_words_that_are_no_tokens_are_refused_with_the_reason(
    text: str, wanted: str, occurrence: int, message: str
) -> None:
    with pytest.raises(Unaligned) as caught:
        aligner(text).find(wanted, occurrence)
    assert str(caught.value) == message


TOKENS = st.lists(
    st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=6),
    min_size=1,
    max_size=12,
)


@given(TOKENS, st.data())
def test_any_span_is_found_again_by_its_words_and_their_count(
    tokens: list[str], data: st.DataObject
) -> None:
    text, offsets = join_tokens(tokens)
    start = data.draw(st.integers(0, len(tokens) - 1))
    end = data.draw(st.integers(start + 1, len(tokens)))
    words = tuple(tokens[start:end])
    places = [
        first
        for first in range(len(tokens))
        if text[offsets[first][0] :].startswith(" ".join(words))
        and offsets[first][0] + len(" ".join(words)) in {last for _, last in offsets}
    ]
    found = TokenAligner(text, offsets).find(" ".join(words), places.index(start) + 1)
    assert found == Span(start, end)


@given(st.text(max_size=30), st.text(max_size=8), st.integers(-2, 5))
def test_an_answer_is_a_place_that_reads_like_it_or_a_refusal(
    text: str, wanted: str, occurrence: int
) -> None:
    _, offsets = tokenise(text)
    try:
        span = TokenAligner(text, offsets).find(wanted, occurrence)
    except Unaligned:
        return
    assert span.end <= len(offsets)
    found = text[offsets[span.start][0] : offsets[span.end - 1][1]]
    assert letters(found) == letters(wanted)


def letters(text: str) -> str:
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(character for character in folded if unicodedata.category(character)[0] in "LN")


@dataclass(frozen=True)
class Found:
    name: str
    span: Span


def test_the_longest_span_is_kept_and_the_others_are_dropped() -> None:
    york = Found("York", Span(1, 2))
    times = Found("New York Times", Span(0, 3))
    ada = Found("Ada", Span(4, 5))
    twice = Found("Ada again", Span(4, 5))
    kept, dropped = without_overlaps([york, ada, times, twice])
    assert kept == (times, ada)
    assert dropped == (york, twice)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4)), max_size=8))
def test_nothing_is_lost_and_nothing_overlaps(ranges: list[tuple[int, int]]) -> None:
    found = [
        Found(str(number), Span(start, start + length))
        for number, (start, length) in enumerate(ranges)
    ]
    kept, dropped = without_overlaps(found)
    assert sorted(one.name for one in (*kept, *dropped)) == sorted(one.name for one in found)
    assert all(one.span.end <= after.span.start for one, after in pairwise(kept))
