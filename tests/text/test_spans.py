import pytest

from riveg.text.spans import character_range, covering_span, joined_tokens, span_text
from riveg.text.tokenise import tokenise
from riveg.types import Span

TEXT = "Ann  in #Łódź!"
TOKENS, OFFSETS = tokenise(TEXT)


@pytest.mark.parametrize(
    ("span", "characters", "words", "tokens"),
    [
        pytest.param(Span(0, 1), (0, 3), "Ann", "Ann", id="one token"),
        pytest.param(Span(0, 2), (0, 7), "Ann  in", "Ann in", id="white space stays in the text"),
        pytest.param(Span(2, 4), (8, 13), "#Łódź", "# Łódź", id="tokens without white space"),
    ],
)
def test_a_span_in_its_text(
    span: Span, characters: tuple[int, int], words: str, tokens: str
) -> None:
    assert character_range(OFFSETS, span) == characters
    assert span_text(TEXT, OFFSETS, span) == words
    assert joined_tokens(TOKENS, span) == tokens


def test_a_span_beyond_the_tokens() -> None:
    beyond = Span(4, len(TOKENS) + 1)
    assert character_range(OFFSETS, beyond) is None
    with pytest.raises(IndexError):
        span_text(TEXT, OFFSETS, beyond)


@pytest.mark.parametrize(
    ("characters", "span"),
    [
        pytest.param((0, 3), Span(0, 1), id="a token"),
        pytest.param((1, 6), Span(0, 2), id="parts of tokens stand for them"),
        pytest.param((3, 8), Span(1, 2), id="blanks at the ends are no tokens"),
        pytest.param((9, 13), Span(3, 4), id="a word behind its hashtag's sign"),
        pytest.param((3, 5), None, id="nothing but blanks"),
        pytest.param((4, 4), None, id="nothing"),
        pytest.param((13, 99), Span(4, 5), id="beyond the text"),
    ],
)
def test_the_tokens_that_characters_touch(characters: tuple[int, int], span: Span | None) -> None:
    assert covering_span(OFFSETS, *characters) == span


def test_a_span_covers_its_own_characters() -> None:
    for start in range(len(TOKENS)):
        for end in range(start + 1, len(TOKENS) + 1):
            characters = character_range(OFFSETS, Span(start, end))
            assert characters is not None
            assert covering_span(OFFSETS, *characters) == Span(start, end)
