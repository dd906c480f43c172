"""Two texts word by word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.prompt_debug.word_diff import word_diff

TEXTS = st.text(st.sampled_from("ab ,.\n'é🚀-"), max_size=30)


def own(before: str, after: str) -> tuple[list[str], list[str]]:
    first, second = word_diff(before, after)
    return [one.text for one in first if one.own], [one.text for one in second if one.own]


@pytest.mark.parametrize(
    ("before", "after", "expected", "reason"),
    [
        ("a red car", "a blue car", (["red"], ["blue"]), "one word"),
        ("a car", "a car", ([], []), "the same"),
        ("", "a car", ([], ["a car"]), "nothing before"),
        ("man in a suit", "man", ([" in a suit"], []), "words that go together are one piece"),
        ("the left hand", "our right hand", (["the left"], ["our right"]), "over a space"),
        ("a man's hat", "a man hat", (["man's"], ["man"]), "a word with its apostrophe is one"),
        ("one.", "one!", (["."], ["!"]), "a sign is a piece of its own"),
    ],
)
def test_words_that_the_other_text_has_not(
    before: str, after: str, expected: tuple[list[str], list[str]], reason: str
) -> None:
    assert own(before, after) == expected, reason


@given(TEXTS, TEXTS)
def test_the_pieces_are_the_texts(before: str, after: str) -> None:
    first, second = word_diff(before, after)
    assert "".join(one.text for one in first) == before
    assert "".join(one.text for one in second) == after
    assert word_diff(before, before)[0] == word_diff(before, before)[1]
