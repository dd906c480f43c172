"""Queries with the sentences that they are asked about, as pieces: ``[CLS] query [SEP] words``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from riveg.errors import UserError
from riveg.nn.piece_layout import layout_of
from riveg.nn.windows import word_windows
from riveg.nn.word_pieces import WordPieces

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class QueryWindow:
    """One input of the encoder, special tokens included: a query, and words of a sentence.

    ``query`` is the query's number. ``first_pieces[i]`` is the position of the first piece of word
    ``words.start + i``; ``words_end`` the one behind the last word. ``owned`` are the words at
    which an entity may begin here. ``query_pieces`` counts what stands before the words.
    """

    query: int
    input_ids: tuple[int, ...]
    query_pieces: int
    words: range
    first_pieces: tuple[int, ...]
    words_end: int
    owned: range


class QueryWindows:
    """Cuts a sentence into windows behind each query, of at most ``max_pieces`` pieces in all.

    Neighbouring windows share ``overlap`` words; an entity is taken from the window that owns its
    first word. Any tokenizer will do: the special tokens are those of its own template.

    Args:
        tokenizer: Cuts texts.
        queries: The text of each type, in the order of the types.
        max_pieces: Pieces a window, special tokens included.
        overlap: Words that neighbours share.

    Raises:
        UserError: If a query says nothing, or takes more than half of a window.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        queries: Mapping[str, str],
        *,
        max_pieces: int = 128,
        overlap: int = 16,
    ) -> None:
        self._layout = layout_of(tokenizer)
        self._overlap = overlap
        self._max_pieces = max_pieces
        self._beginnings = []
        for label, text in queries.items():
            pieces = tokenizer.encode(text, add_special_tokens=False).ids
            if not text.strip() or not pieces:
                raise UserError(f"queries.{label}: {text!r} says nothing; give a text that asks")
            beginning = (*self._layout.opening, *pieces, *self._layout.separator)
            if 2 * (len(beginning) + len(self._layout.closing)) > max_pieces:
                raise UserError(
                    f"queries.{label}: takes {len(beginning)} of {max_pieces} pieces; give a "
                    "shorter text, or raise max_pieces"
                )
            self._beginnings.append(beginning)
        self._pieces = WordPieces(tokenizer, self._layout, max_pieces // 2)

    def __call__(self, tokens: Sequence[str]) -> tuple[QueryWindow, ...]:
        """The windows of each query, in their order; none for a text without words."""
        pieces = [self._pieces(token) for token in tokens]
        return tuple(
            window
            for query, beginning in enumerate(self._beginnings)
            for window in self._windows(query, beginning, pieces)
        )

    def _windows(
        self, query: int, beginning: tuple[int, ...], pieces: list[tuple[int, ...]]
    ) -> Iterator[QueryWindow]:
        closing = self._layout.closing
        room = self._max_pieces - len(beginning) - len(closing)
        for words, owned in word_windows([len(ids) for ids in pieces], room, self._overlap):
            input_ids = list(beginning)
            first_pieces = []
            for word in words:
                first_pieces.append(len(input_ids))
                input_ids += pieces[word]
            yield QueryWindow(
                query,
                (*input_ids, *closing),
                len(beginning),
                words,
                tuple(first_pieces),
                len(input_ids),
                owned,
            )
