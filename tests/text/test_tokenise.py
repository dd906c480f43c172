"""Tokens and offsets of raw text."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.formats.conll import read_conll
from riveg.text.tokenise import join_tokens, tokenise


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("RT @NASA: go", ["RT", "@", "NASA", ":", "go"]),  # handle apart from its sign
        ("#Go @a_b", ["#", "Go", "@", "a", "_", "b"]),  # underscore apart, as in the 2015 family
        ("don't", ["don", "'", "t"]),
        ("50,000 at 7.30", ["50,000", "at", "7.30"]),  # inner marks of numbers stay
        ("21, yes", ["21", ",", "yes"]),
        ("A &amp; B", ["A", "&amp", ";", "B"]),  # entities as the sets hold them
        ("see https://t.co/aB1.", ["see", "https://t.", "co/aB1", "."]),
        ("http://", ["http://"]),
        ("wow!!", ["wow", "!", "!"]),
        ("👏👏", ["👏", "👏"]),
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs stay in their word
        ("cafe\u0301", ["cafe\u0301"]),
        ("\u202eabc\x00", ["\u202e", "abc", "\x00"]),  # hostile characters are tokens like others
        ("  \n\t ", []),
        ("", []),
    ],
)
def test_tokens(text: str, tokens: list[str]) -> None:
    assert list(tokenise(text)[0]) == tokens


@given(st.text())
def test_offsets_point_at_the_tokens_and_cover_all_that_is_not_white(text: str) -> None:
    tokens, offsets = tokenise(text)
    assert [text[start:end] for start, end in offsets] == list(tokens)
    position = 0
    for start, end in offsets:
        assert not text[position:start].strip()
        assert end > start >= position
        position = end
    assert not text[position:].strip()


@given(st.lists(st.text(min_size=1)))
def test_joined_tokens_are_found_by_their_offsets(tokens: list[str]) -> None:
    text, offsets = join_tokens(tokens)
    assert [text[start:end] for start, end in offsets] == tokens


def test_a_megabyte_takes_no_quadratic_time() -> None:
    small, large = (_seconds("a_b! " * count) for count in (20_000, 200_000))
    assert large < 40 * max(small, 0.01)


def _seconds(text: str) -> float:
    started = time.perf_counter()
    tokenise(text)
    return time.perf_counter() - started


def test_most_annotated_samples_are_cut_as_the_annotators_cut_them() -> None:
    root = os.environ.get("RIVEG_TEST_DATA")
    if root is None:
        pytest.skip("RIVEG_TEST_DATA is not set")
    sentences = list(read_conll(Path(root) / "twitter-gmner-v2" / "txt" / "dev.txt"))
    same = sum(tokenise(" ".join(s.tokens))[0] == s.tokens for s in sentences)
    assert same / len(sentences) > 0.85
