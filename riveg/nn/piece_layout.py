"""How a tokenizer lays a text out: its special tokens, and how a single word is written for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from riveg.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_SAMPLE = "a"
"""A word that every vocabulary of an encoder can write."""


class PieceLayout(NamedTuple):
    """Ids of special tokens: before the text, between two texts, behind; of what is unknown.

    ``blank`` is written before each word: byte-level vocabularies have words with a leading blank.
    """

    opening: tuple[int, ...]
    separator: tuple[int, ...]
    closing: tuple[int, ...]
    unknown: int
    blank: str


def layout_of(tokenizer: Tokenizer) -> PieceLayout:
    """The layout that the tokenizer's own template gives to one text and to two.

    Raises:
        UserError: If there is no template and no ``[CLS]`` and ``[SEP]``, or nothing for what is
            unknown.
    """
    one = list(_specials(tokenizer.encode(_SAMPLE)))
    two = list(_specials(tokenizer.encode(_SAMPLE, _SAMPLE)))
    if len(one) == 2 and len(two) == 3 and any(one):
        opening, closing = one
        separator = two[1]
    else:
        opening, closing = ((special_id(tokenizer, name),) for name in ("[CLS]", "[SEP]"))
        separator = closing
    return PieceLayout(opening, separator, closing, _unknown_id(tokenizer), _blank(tokenizer))


def special_id(tokenizer: Tokenizer, name: str) -> int:
    """Id of a special token.

    Raises:
        UserError: If the vocabulary has no such token.
    """
    found = tokenizer.token_to_id(name)
    if found is None:
        raise UserError(f"the tokenizer has no token {name}; a vocabulary of an encoder is needed")
    return int(found)


def _specials(encoding: Encoding) -> Iterator[tuple[int, ...]]:
    """The runs of special tokens before, between and behind the texts, empty ones too."""
    run: list[int] = []
    last: int | None = None
    for piece, text in zip(encoding.ids, encoding.sequence_ids, strict=True):
        if text is None:
            run.append(piece)
        elif text != last:
            yield tuple(run)
            run, last = [], text
    yield tuple(run)


def _unknown_id(tokenizer: Tokenizer) -> int:
    named = getattr(tokenizer.model, "unk_token", None)
    names = [named] if named else []
    for name in (*names, "[UNK]", "<unk>", "<|endoftext|>"):
        found = tokenizer.token_to_id(name)
        if found is not None:
            return int(found)
    return special_id(tokenizer, "[UNK]")


def _blank(tokenizer: Tokenizer) -> str:
    bare, spaced = (
        tokenizer.encode(text, add_special_tokens=False).ids for text in (_SAMPLE, f" {_SAMPLE}")
    )
    return " " if len(bare) == len(spaced) and bare != spaced else ""
