"""A tokenizer of BERT's kind whose pieces are those of a split: no vocabulary to fetch.

The library's own trainer breaks ties by chance, so that no two trainings had the same pieces.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    """Every letter, then the beginnings and ends of words that shorten the texts most.

    The same texts give the same pieces. Of pieces that always stand together the longest is taken.
    None is from the middle of a word: read from the left, it could cut an ending in two.
    """
    words = Counter(word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower()))
    letters: set[str] = set()
    starts: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for word, count in words.items():
        letters.update(word[0], (f"##{letter}" for letter in word[1:]))
        for length in range(2, min(len(word), _LONGEST) + 1):
            starts[word[:length]] += count
            if length < len(word):
                ends[f"##{word[-length:]}"] += count
    found = {**_longest(starts, lambda one: one[:-1]), **_longest(ends, lambda one: f"##{one[3:]}")}
    best = sorted(found, key=lambda one: (found[one] * (1 - len(one.removeprefix("##"))), one))
    return [*sorted(letters), *best][:size]


def _longest(counts: Counter[str], shorter: Callable[[str], str]) -> dict[str, int]:
    """Pieces with their counts, less those that never stand without a longer one."""
    within: Counter[str] = Counter()
    for piece, count in counts.items():
        within[shorter(piece)] = max(within[shorter(piece)], count)
    return {piece: count for piece, count in counts.items() if within[piece] < count}
