"""Windows cover every word once, and none is longer than allowed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer

from riveg.errors import UserError
from riveg.nn.word_pieces import WordPieceWindows
from riveg.nn.word_shapes import SHAPES, word_shape

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "##a", "##b"]


def tokenizer(vocabulary: list[str]) -> Tokenizer:
    ids = {piece: index for index, piece in enumerate(vocabulary)}
    made = Tokenizer(WordPiece(ids, unk_token="[UNK]"))
    made.pre_tokenizer = BertPreTokenizer()
    return made


@given(
    st.lists(st.text("abé ", min_size=1, max_size=9), max_size=60),
    st.integers(4, 20),
    st.integers(0, 6),
)
def test_windows(tokens: list[str], max_pieces: int, overlap: int) -> None:
    windows = WordPieceWindows(tokenizer(VOCABULARY), max_pieces=max_pieces, overlap=overlap)(
        tokens
    )
    assert [word for window in windows for word in window.owned] == list(range(len(tokens)))
    for window in windows:
        assert len(window.input_ids) == len(window.shape_ids) <= max_pieces
        assert set(window.owned) <= set(window.words)
        assert len(window.first_pieces) == len(window.words)
        assert (window.input_ids[0], window.input_ids[-1]) == (2, 3)


def test_a_word_longer_than_a_window_keeps_its_beginning() -> None:
    windows = WordPieceWindows(tokenizer(VOCABULARY), max_pieces=8)(["a", "ab" * 50, "b"])
    assert [word for window in windows for word in window.owned] == [0, 1, 2]


def test_a_vocabulary_without_special_tokens_is_refused() -> None:
    with pytest.raises(UserError, match=r"no token \[CLS\]"):
        WordPieceWindows(tokenizer(["[UNK]", "a"]))


@pytest.mark.parametrize(
    ("word", "shape"),
    [
        ("disney", "lower"),
        ("NASA", "upper"),
        ("Disney", "title"),
        ("McDonald", "mixed"),
        ("I", "initial"),
        ("2016", "digits"),
        ("50,000", "digits"),
        ("5SOS", "alphanumeric"),
        ("...", "punctuation"),
        ("😀", "other"),
        ("O'Neil", "mixed"),
        ("’", "other"),
    ],
)
def test_shapes(word: str, shape: str) -> None:
    assert SHAPES[word_shape(word)] == shape
