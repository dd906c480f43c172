import pytest

from riveg.text.spans import character_range, joined_tokens, span_text
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
