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


def learn_word_pieces(data: Path, *, whole: Iterable[str] = ()) -> Any:
    """A tokenizer with the pieces of train's texts; a text is read between ``[CLS]`` and ``[SEP]``.

    Args:
        data: The dataset's YAML file.
        whole: Texts whose words are not cut.

    Returns:
        A ``Tokenizer`` of the library tokenizers.
    """
    texts = [sample.text for sample in open_dataset(str(data), split="train").samples()]
    pieces = often_pieces(texts, whole=whole)
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


def often_pieces(
    texts: Sequence[str], syllables: int = 24, *, whole: Iterable[str] = ()
) -> Sequence[str]:
    """Letters, the words that stay whole, then the beginnings and ends that other words share.

    The same texts give the same pieces, and a name that train has not falls into them as those of
    train do: what many words share are its syllables. Of pieces that always stand together the
    longest is taken.

    Args:
        texts: Where the pieces come from.
        syllables: How many beginnings and ends.
        whole: Texts whose words are not cut; nor are those that one text in twenty has.
    """
    often = Counter(word for text in texts for word in {*_words(text)})
    uncut = dict.fromkeys(word for text in whole for word in _words(text))
    uncut |= dict.fromkeys(sorted(one for one in often if often[one] * 20 >= len(texts)))
    letters: set[str] = set()
    starts: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for word in often:
        letters.update(word[0], (f"##{letter}" for letter in word[1:]))
        for length in range(2, len(word)) if word not in uncut else ():
            starts[word[:length]] += 1
            ends[f"##{word[-length:]}"] += 1
    found = {**_longest(starts, lambda one: one[:-1]), **_longest(ends, lambda one: f"##{one[3:]}")}
    best = sorted(found, key=lambda one: (found[one] * (1 - len(one.removeprefix("##"))), one))
    return list(dict.fromkeys([*sorted(letters), *uncut, *best[:syllables]]))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.lower())


def _longest(counts: Counter[str], shorter: Callable[[str], str]) -> dict[str, int]:
    """Pieces with their counts, less those that never stand without a longer one."""
    within: Counter[str] = Counter()
    for piece, count in counts.items():
        within[shorter(piece)] = max(within[shorter(piece)], count)
    return {piece: count for piece, count in counts.items() if within[piece] < count}
