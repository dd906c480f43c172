"""Words to word pieces in windows that overlap, so that no text is cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from riveg.nn.piece_layout import PieceLayout, layout_of
from riveg.nn.windows import word_windows
from riveg.nn.word_shapes import word_shape

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_REMEMBERED = 50_000
"""Words whose pieces are kept: posts use the same words again and again."""

_KNOWLEDGE_SHARE = 4
"""Knowledge is sure of one piece in four: a text that leaves less is cut into more windows."""


@dataclass(frozen=True, slots=True)
class Window:
    """One input of the encoder, special tokens included.

    ``first_pieces[i]`` is the position of the first piece of word ``words.start + i``; ``owned``
    are the words whose tag is taken from this window. ``knowledge_first_pieces`` are those of the
    words of knowledge that have found room, ``knowledge_cut`` the number of those that have not.
    """

    input_ids: tuple[int, ...]
    shape_ids: tuple[int, ...]
    words: range
    first_pieces: tuple[int, ...]
    owned: range
    knowledge_first_pieces: tuple[int, ...] = ()
    knowledge_cut: int = 0

    @property
    def owned_pieces(self) -> tuple[int, ...]:
        """Positions of the first pieces of the words that it owns."""
        start = self.words.start
        return tuple(self.first_pieces[word - start] for word in self.owned)


class WordPieces:
    """The pieces of single words; a word of no piece is the unknown one.

    Args:
        tokenizer: Cuts words.
        layout: Of the same tokenizer.
        most: Pieces that a word keeps, its first ones.
    """

    def __init__(self, tokenizer: Tokenizer, layout: PieceLayout, most: int) -> None:
        self._tokenizer = tokenizer
        self._layout = layout
        self._most = most
        self._pieces = lru_cache(maxsize=_REMEMBERED)(self._pieces_of)

    def __call__(self, word: str) -> tuple[int, ...]:
        """One piece at least, ``most`` at most."""
        return self._pieces(word)

    def _pieces_of(self, word: str) -> tuple[int, ...]:
        # The rest of a word far longer than a window would be cut off anyway.
        head = self._layout.blank + word[: 4 * self._most + 64]
        ids: list[int] = self._tokenizer.encode(head, add_special_tokens=False).ids
        return tuple(ids or [self._layout.unknown])[: self._most]


class WordPieceWindows:
    """Cuts a sentence into windows of at most ``max_pieces`` pieces, special tokens included.

    Neighbouring windows share ``overlap`` words; the tag of each word is taken from the window in
    which it has most context. A word of more pieces than a window holds keeps its first pieces, a
    word of no piece becomes the unknown one. Any tokenizer will do: the special tokens are those
    of its own template, and words get a leading blank where its vocabulary has them so.
    """

    def __init__(self, tokenizer: Tokenizer, *, max_pieces: int = 128, overlap: int = 16) -> None:
        self._max_pieces = max_pieces
        self._overlap = overlap
        self._layout = layout_of(tokenizer)
        self._room = max_pieces - len(self._layout.opening) - len(self._layout.closing)
        self._pieces = WordPieces(tokenizer, self._layout, self._room)

    def __call__(self, tokens: Sequence[str], knowledge: Sequence[str] = ()) -> tuple[Window, ...]:
        """Windows in text order; their ``owned`` ranges cover every word exactly once.

        Args:
            tokens: The words of the text.
            knowledge: Words that are appended to every window behind the tokenizer's separator,
                as many of the first of them as fit.
        """
        pieces = [self._pieces(token) for token in tokens]
        more = [self._pieces(word) for word in knowledge]
        room = self._room - self._reserved(more)
        pieces = [ids[:room] for ids in pieces]
        windows = word_windows([len(ids) for ids in pieces], room, self._overlap)
        return tuple(
            self._window(
                [(tokens[word], pieces[word]) for word in words],
                list(zip(knowledge, more, strict=True)),
                words,
                owned,
            )
            for words, owned in windows
        )

    def _reserved(self, knowledge: list[tuple[int, ...]]) -> int:
        if not knowledge:
            return 0
        whole = len(self._layout.separator) + sum(map(len, knowledge))
        return min(whole, self._max_pieces // _KNOWLEDGE_SHARE, self._room - 1)

    def _window(
        self,
        text: list[tuple[str, tuple[int, ...]]],
        knowledge: list[tuple[str, tuple[int, ...]]],
        words: range,
        owned: range,
    ) -> Window:
        opening, separator, closing = self._layout[:3]
        input_ids, shape_ids = list(opening), [0] * len(opening)
        first_pieces = _append(text, input_ids, shape_ids)
        room = self._room + len(opening) - len(input_ids) - len(separator)
        fitting = _fitting(knowledge, room)
        more: list[int] = []
        if fitting:
            input_ids += separator
            shape_ids += [0] * len(separator)
            more = _append(fitting, input_ids, shape_ids)
        return Window(
            input_ids=(*input_ids, *closing),
            shape_ids=(*shape_ids, *[0] * len(closing)),
            words=words,
            first_pieces=tuple(first_pieces),
            owned=owned,
            knowledge_first_pieces=tuple(more),
            knowledge_cut=len(knowledge) - len(fitting),
        )


def _append(
    words: list[tuple[str, tuple[int, ...]]], input_ids: list[int], shape_ids: list[int]
) -> list[int]:
    """Appends words to a window that is being made; the positions of their first pieces."""
    first_pieces = []
    for word, pieces in words:
        first_pieces.append(len(input_ids))
        input_ids += pieces
        shape_ids += [word_shape(word)] * len(pieces)
    return first_pieces


def _fitting(
    words: list[tuple[str, tuple[int, ...]]], room: int
) -> list[tuple[str, tuple[int, ...]]]:
    for count, (_, pieces) in enumerate(words):
        room -= len(pieces)
        if room < 0:
            return words[:count]
    return words
