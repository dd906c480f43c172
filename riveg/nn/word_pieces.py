"""Words to word pieces in windows that overlap, so that no text is cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from riveg.errors import UserError
from riveg.nn.word_shapes import word_shape

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class Window:
    """One input of the encoder, special tokens included.

    ``first_pieces[i]`` is the position of the first piece of word ``words.start + i``; ``owned``
    are the words whose tag is taken from this window.
    """

    input_ids: tuple[int, ...]
    shape_ids: tuple[int, ...]
    words: range
    first_pieces: tuple[int, ...]
    owned: range


class WordPieceWindows:
    """Cuts a sentence into windows of at most ``max_pieces`` pieces, two special tokens included.

    Neighbouring windows share ``overlap`` words; the tag of each word is taken from the window in
    which it has most context. A word of more pieces than a window holds keeps its first pieces.
    """

    def __init__(self, tokenizer: Tokenizer, *, max_pieces: int = 128, overlap: int = 16) -> None:
        self._tokenizer = tokenizer
        self._max_pieces = max_pieces
        self._overlap = overlap
        self._open, self._close, self._unknown = (
            special_id(tokenizer, name) for name in ("[CLS]", "[SEP]", "[UNK]")
        )

    def __call__(self, tokens: Sequence[str]) -> tuple[Window, ...]:
        """Windows in text order; their ``owned`` ranges cover every word exactly once."""
        pieces = [self._pieces(token) for token in tokens]
        ranges = self._ranges([len(ids) for ids in pieces])
        cuts = [(left.stop + right.start + 1) // 2 for left, right in pairwise(ranges)]
        bounds = [0, *cuts, len(tokens)]
        return tuple(
            self._window(tokens, pieces, words, range(bounds[index], bounds[index + 1]))
            for index, words in enumerate(ranges)
        )

    def _pieces(self, token: str) -> list[int]:
        # The rest of a word far longer than a window would be cut off anyway.
        head = token[: 4 * self._max_pieces]
        ids: list[int] = self._tokenizer.encode(head, add_special_tokens=False).ids
        return (ids or [self._unknown])[: self._max_pieces - 2]

    def _ranges(self, lengths: list[int]) -> list[range]:
        ranges: list[range] = []
        start, total = 0, len(lengths)
        while start < total:
            stop, used = start, 2
            while stop < total and used + lengths[stop] <= self._max_pieces:
                used += lengths[stop]
                stop += 1
            ranges.append(range(start, stop))
            if stop == total:
                break
            start = max(stop - self._overlap, (start + stop) // 2, start + 1)
        return ranges

    def _window(
        self, tokens: Sequence[str], pieces: list[list[int]], words: range, owned: range
    ) -> Window:
        input_ids, shape_ids, first_pieces = [self._open], [0], []
        for word in words:
            first_pieces.append(len(input_ids))
            input_ids += pieces[word]
            shape_ids += [word_shape(tokens[word])] * len(pieces[word])
        return Window(
            input_ids=(*input_ids, self._close),
            shape_ids=(*shape_ids, 0),
            words=words,
            first_pieces=tuple(first_pieces),
            owned=owned,
        )


def special_id(tokenizer: Tokenizer, name: str) -> int:
    """Id of a special token.

    Raises:
        UserError: If the vocabulary has no such token.
    """
    found = tokenizer.token_to_id(name)
    if found is None:
        raise UserError(f"the tokenizer has no token {name}; a BERT vocabulary is needed")
    return int(found)
