"""A tokenizer of BERT's kind whose pieces are those of a split: no vocabulary to fetch.

The library's own trainer breaks ties by chance, so that no two trainings had the same pieces.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from riveg.datasets.opening import open_dataset

MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_LONGEST = 12


def learn_word_pieces(data: Path, *, more: Iterable[str] = (), size: int = 400) -> Any:
    """A tokenizer with the pieces of train's texts; a text is read between ``[CLS]`` and ``[SEP]``.

    Args:
        data: The dataset's YAML file.
        more: Other texts whose words have pieces.
        size: Of the vocabulary; few pieces cut names into their syllables.

    Returns:
        A ``Tokenizer`` of the library tokenizers.
    """
    texts = [sample.text for sample in open_dataset(str(data), split="train").samples()]
    pieces = often_pieces([*texts, *more], size - len(MARKS))
    return word_piece_tokenizer({piece: at for at, piece in enumerate([*MARKS, *pieces])})


def word_piece_tokenizer(numbers: Mapping[str, int]) -> Any:
    """The ``Tokenizer`` of a vocabulary that holds :data:`MARKS`; it has no capitals."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordPiece(dict(numbers), unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = (("[SEP]", numbers["[SEP]"]), ("[CLS]", numbers["[CLS]"]))
    tokenizer.post_processor = processors.BertProcessing(*ends)
    return tokenizer


def often_pieces(texts: Iterable[str], size: int) -> Sequence[str]:
    """Every letter, then the pieces that shorten the texts most, for the same texts the same.

    A piece that never stands but within a longer one is left out.
    """
    words = Counter(word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower()))
    counts: Counter[str] = Counter()
    within: dict[str, int] = {}
    for word, count in words.items():
        for piece in _parts(word):
            counts[piece] += count
    for piece, count in counts.items():
        for shorter in (piece[:-1], _without_first(piece)):
            within[shorter] = max(within.get(shorter, 0), count)
    letters = sorted(piece for piece in counts if len(piece.removeprefix("##")) == 1)
    longer = (one for one in counts.keys() - {*letters} if within.get(one, 0) < counts[one])
    best = sorted(longer, key=lambda one: (counts[one] * (1 - len(one.removeprefix("##"))), one))
    return [*letters, *best][:size]


def _parts(word: str) -> Iterable[str]:
    for start in range(len(word)):
        for end in range(start + 1, min(len(word), start + _LONGEST) + 1):
            yield f"{'##' if start else ''}{word[start:end]}"


def _without_first(piece: str) -> str:
    return f"##{piece.removeprefix('##')[1:]}"
