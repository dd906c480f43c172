"""Queries before sentences, as pieces: nothing of a sentence is lost, whatever the tokenizer."""

from __future__ import annotations

import pytest

pytest.importorskip("tokenizers", reason='needs the extra: pip install "riveg[models]"')

from helpers.tiny_mner_qg import QUERIES
from helpers.tiny_taggers import KINDS, tiny_tokenizer

from riveg.errors import UserError
from riveg.nn.query_windows import QueryWindows


@pytest.mark.parametrize("kind", KINDS)
def test_each_query_owns_every_word_once(kind: str) -> None:
    tokenizer = tiny_tokenizer(kind)
    words = ("Ann met Bob in Rome and Oslo " * 12).split()
    windows = QueryWindows(tokenizer, QUERIES, max_pieces=64, overlap=4)(words)
    for query, text in enumerate(QUERIES.values()):
        own = [window for window in windows if window.query == query]
        assert len(own) > 1
        assert [word for window in own for word in window.owned] == list(range(len(words)))
        for window in own:
            assert len(window.input_ids) <= 64
            pieces = tokenizer.encode(text, add_special_tokens=False).ids
            assert list(window.input_ids[1 : 1 + len(pieces)]) == pieces
            assert min(window.first_pieces) == window.query_pieces


def test_one_window_is_the_tokenizer_s_own_pair() -> None:
    tokenizer = tiny_tokenizer("bert")
    (window, *_) = QueryWindows(tokenizer, QUERIES, max_pieces=64)(["Ann", "met", "Bob"])
    pair = tokenizer.encode(QUERIES["PER"], "Ann met Bob")
    assert list(window.input_ids) == pair.ids
    assert window.query_pieces == pair.type_ids.index(1)
    assert window.words_end == len(pair.ids) - 1, "the words end before the last [SEP]"


def test_a_text_without_words_has_no_window() -> None:
    assert QueryWindows(tiny_tokenizer("bert"), QUERIES, max_pieces=64)([]) == ()


def test_a_query_longer_than_half_a_window_is_refused() -> None:
    with pytest.raises(UserError, match=r"queries\.PER: takes \d+ of 20 pieces; give a shorter"):
        QueryWindows(tiny_tokenizer("bert"), QUERIES, max_pieces=20)


@pytest.mark.parametrize("kind", KINDS)
def test_a_query_of_blanks_is_refused(kind: str) -> None:
    with pytest.raises(UserError, match=r"queries\.LOC: '  ' says nothing; give a text that asks"):
        QueryWindows(tiny_tokenizer(kind), {"PER": "people", "LOC": "  "}, max_pieces=30)
