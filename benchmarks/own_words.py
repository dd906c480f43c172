"""A tokenizer of BERT's kind whose pieces are learnt from a split: no vocabulary to fetch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from riveg.datasets.opening import open_dataset


def learn_word_pieces(data: Path, *, more: Iterable[str] = (), size: int = 400) -> Any:
    """Pieces of train's texts; a text is read between ``[CLS]`` and ``[SEP]``.

    Args:
        data: The dataset's YAML file.
        more: Other texts to learn pieces from.
        size: Of the vocabulary; few pieces cut names into their syllables.

    Returns:
        A ``Tokenizer`` of the library tokenizers.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"],
        show_progress=False,
    )
    texts = [sample.text for sample in open_dataset(str(data), split="train").samples()]
    tokenizer.train_from_iterator([*texts, *more], trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer
