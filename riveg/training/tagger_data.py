"""Training data of the tagger: pieces, shapes, and indices of tags and fine labels."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from riveg.nn.word_pieces import WordPieceWindows
from riveg.text.bio import OUTSIDE, bio_to_spans, spans_to_bio
from riveg.types import Span

IGNORED = -100
"""Target of a position that the loss ignores (PyTorch's default)."""


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """Tokens with BIO tags and, where the set has them, one fine label per token (no BIO)."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    fine_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors of *shape* ``(batch, pieces)``; only first pieces have targets."""

    input_ids: Tensor
    attention_mask: Tensor
    shape_ids: Tensor
    tags: Tensor
    fine_types: Tensor


class MentionSwapper:
    """Replaces mentions by others of the same fine label, so that context has to be learnt too.

    Args:
        sentences: The sentences whose mentions may be inserted.
        rate: Probability for each mention to be replaced, in [0, 1].
    """

    def __init__(self, sentences: Sequence[TaggedSentence], rate: float) -> None:
        self._rate = rate
        pool: dict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
        for sentence in sentences:
            for span, label in bio_to_spans(sentence.tags):
                key = (label, sentence.fine_types[span.start])
                pool[key].add(sentence.tokens[span.start : span.end])
        self._pool = {key: sorted(mentions) for key, mentions in pool.items()}

    def __call__(self, sentence: TaggedSentence, chance: random.Random) -> TaggedSentence:
        """The sentence, with some mentions replaced by chance."""
        tokens: list[str] = []
        fine_types: list[str] = []
        spans: list[tuple[Span, str]] = []
        position = 0
        for span, label in bio_to_spans(sentence.tags):
            tokens += sentence.tokens[position : span.start]
            fine_types += sentence.fine_types[position : span.start]
            fine_type = sentence.fine_types[span.start]
            mention = sentence.tokens[span.start : span.end]
            if chance.random() < self._rate:
                mention = chance.choice(self._pool[label, fine_type])
            spans.append((Span(len(tokens), len(tokens) + len(mention)), label))
            tokens += mention
            fine_types += [fine_type] * len(mention)
            position = span.end
        tokens += sentence.tokens[position:]
        fine_types += sentence.fine_types[position:]
        return TaggedSentence(tuple(tokens), spans_to_bio(spans, len(tokens)), tuple(fine_types))


class Batcher:
    """Shuffled batches of sentences of similar length; the same seed gives the same batches."""

    def __init__(
        self,
        windows: WordPieceWindows,
        tags: Sequence[str],
        fine_types: Sequence[str],
        *,
        batch_size: int,
        mask_rate: float,
        mask_id: int,
    ) -> None:
        self._windows = windows
        self._tags = {tag: index for index, tag in enumerate(tags)}
        self._fine_types = {name: index for index, name in enumerate(fine_types)}
        self._batch_size = batch_size
        self._mask_rate = mask_rate
        self._mask_id = mask_id

    def __call__(
        self, sentences: Sequence[TaggedSentence], chance: random.Random
    ) -> Iterator[Batch]:
        """One epoch; rows of similar length share a batch, batches come in random order."""
        rows = [row for sentence in sentences for row in self._rows(sentence, chance)]
        rows.sort(key=lambda row: len(row[0]) + chance.random() * 8)
        chunks = [
            rows[start : start + self._batch_size]
            for start in range(0, len(rows), self._batch_size)
        ]
        chance.shuffle(chunks)
        for chunk in chunks:
            yield _collate(chunk)

    def _rows(
        self, sentence: TaggedSentence, chance: random.Random
    ) -> Iterator[tuple[list[int], tuple[int, ...], list[int], list[int]]]:
        for window in self._windows(sentence.tokens):
            tags = [IGNORED] * len(window.input_ids)
            fine_types = list(tags)
            for word, position in zip(window.words, window.first_pieces, strict=True):
                if word in window.owned:
                    tags[position] = self._tags[sentence.tags[word]]
                    fine_types[position] = self._fine_types.get(sentence.fine_types[word], IGNORED)
            ids = [
                self._mask_id if shape and chance.random() < self._mask_rate else piece
                for piece, shape in zip(window.input_ids, window.shape_ids, strict=True)
            ]
            yield ids, window.shape_ids, tags, fine_types


def _collate(
    rows: Sequence[tuple[Sequence[int], Sequence[int], Sequence[int], Sequence[int]]],
) -> Batch:
    longest = max(len(ids) for ids, *_ in rows)

    def padded(column: int, value: int) -> Tensor:
        return torch.tensor(
            [[*row[column], *[value] * (longest - len(row[column]))] for row in rows]
        )

    mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, *_ in rows])
    return Batch(padded(0, 0), mask, padded(1, 0), padded(2, IGNORED), padded(3, IGNORED))


def fine_types_of(sentences: Sequence[TaggedSentence]) -> tuple[str, ...]:
    """All fine labels, sorted, "no entity" first; empty where the set has only one column."""
    names = {name for sentence in sentences for name in sentence.fine_types} - {OUTSIDE}
    return (OUTSIDE, *sorted(names)) if names else ()
