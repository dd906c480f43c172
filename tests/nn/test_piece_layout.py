"""Windows for tokenizers of three kinds: the pieces are those of the kind's own way with words."""

import pytest
from helpers.tiny_taggers import KINDS, POSTS, tiny_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from riveg.nn.piece_layout import layout_of
from riveg.nn.word_pieces import WordPieceWindows
from riveg.nn.word_shapes import word_shape

TOKENIZERS = {kind: tiny_tokenizer(kind) for kind in KINDS}
WORDS = st.lists(st.sampled_from([word for text, _, _ in POSTS for word in text.split()]))


@pytest.mark.parametrize(
    ("kind", "opening", "separator", "closing"),
    [
        ("bert", ("[CLS]",), ("[SEP]",), ("[SEP]",)),
        ("roberta", ("<s>",), ("</s>", "</s>"), ("</s>",)),
        ("xlm-roberta", ("<s>",), ("</s>", "</s>"), ("</s>",)),
    ],
)
def test_special_tokens_are_those_of_the_template(
    kind: str, opening: tuple[str, ...], separator: tuple[str, ...], closing: tuple[str, ...]
) -> None:
    tokenizer = TOKENIZERS[kind]
    layout = layout_of(tokenizer)
    names = [
        tuple(tokenizer.id_to_token(piece) for piece in part)
        for part in (layout.opening, layout.separator, layout.closing)
    ]
    assert names == [opening, separator, closing]
    assert tokenizer.id_to_token(layout.unknown) in {"[UNK]", "<unk>"}
    assert layout.blank == (" " if kind == "roberta" else "")


@pytest.mark.parametrize("kind", KINDS)
@given(words=WORDS.filter(bool))
@settings(max_examples=25, deadline=None)
def test_pieces_are_those_of_words_that_are_cut_already(kind: str, words: list[str]) -> None:
    tokenizer = tiny_tokenizer(kind) if kind == "roberta" else TOKENIZERS[kind]
    if kind == "roberta":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    expected = tokenizer.encode(words, is_pretokenized=True)
    (window,) = WordPieceWindows(TOKENIZERS[kind], max_pieces=1000)(words)
    assert list(window.input_ids) == expected.ids
    firsts = [expected.word_ids.index(word) for word in range(len(words))]
    assert list(window.first_pieces) == firsts


@pytest.mark.parametrize("kind", KINDS)
@given(text=WORDS.filter(bool), knowledge=WORDS, max_pieces=st.integers(10, 40))
@settings(max_examples=25, deadline=None)
def test_the_text_is_whole_and_knowledge_has_what_is_left(
    kind: str, text: list[str], knowledge: list[str], max_pieces: int
) -> None:
    windows = WordPieceWindows(TOKENIZERS[kind], max_pieces=max_pieces)(text, knowledge)
    layout = layout_of(TOKENIZERS[kind])
    assert [word for window in windows for word in window.owned] == list(range(len(text)))
    for window in windows:
        assert len(window.input_ids) == len(window.shape_ids) <= max_pieces
        kept = len(window.knowledge_first_pieces)
        assert kept + window.knowledge_cut == len(knowledge)
        shapes = [window.shape_ids[piece] for piece in window.knowledge_first_pieces]
        assert shapes == [word_shape(word) for word in knowledge[:kept]]
        if kept:
            first = window.knowledge_first_pieces[0]
            separator = window.input_ids[first - len(layout.separator) : first]
            assert separator == layout.separator


def test_a_word_of_no_piece_becomes_the_unknown_one() -> None:
    tokenizer = TOKENIZERS["bert"]
    (window,) = WordPieceWindows(tokenizer)(["Ann", "\u200b", "Bob"])
    assert window.input_ids[window.first_pieces[1]] == tokenizer.token_to_id("[UNK]")


def test_a_long_text_leaves_room_for_knowledge_in_every_window() -> None:
    windows = WordPieceWindows(TOKENIZERS["bert"], max_pieces=40)(["Rome"] * 60, ["city"] * 60)
    assert len(windows) > 1
    assert all(window.knowledge_first_pieces for window in windows)
