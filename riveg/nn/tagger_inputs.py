"""Windows of several texts as tensors, and where each word's vector will be found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from riveg.nn.word_pieces import Window

INPUTS = ("input_ids", "attention_mask", "shape_ids", "places", "words")
"""The tensors of :func:`collate`."""


def collate(
    texts: Sequence[Sequence[Window]], *, padding_id: int, with_knowledge: bool = False
) -> dict[str, Tensor]:
    """The encoder's inputs for texts, of one window or more each.

    Args:
        texts: Windows of each text.
        padding_id: The tokenizer's piece for padding.
        with_knowledge: Whether words of knowledge count as words, behind those of the text.

    Returns:
        ``input_ids``, ``attention_mask``, ``shape_ids``, *shape* ``(windows, pieces)``;
        ``places (texts, words)``, where the first piece of each word is in the hidden state's
        first two axes made one; ``words (texts, words)``, false at padding behind the last word.
    """
    windows = [window for text in texts for window in text]
    longest = max((len(window.input_ids) for window in windows), default=1)
    places: list[Tensor] = []
    number = 0
    for text in texts:
        found: list[int] = []
        for window in text:
            found += [number * longest + piece for piece in window.owned_pieces]
            number += 1
        if with_knowledge and text:
            found += [(number - 1) * longest + piece for piece in text[-1].knowledge_first_pieces]
        places.append(torch.tensor(found, dtype=torch.long))
    return {
        "input_ids": padded([window.input_ids for window in windows], padding_id),
        "attention_mask": padded([[1] * len(window.input_ids) for window in windows], 0),
        "shape_ids": padded([window.shape_ids for window in windows], 0),
        "places": pad_sequence(places, batch_first=True),
        "words": pad_sequence(
            [torch.ones_like(one, dtype=torch.bool) for one in places], batch_first=True
        ),
    }


def to_device(batch: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The same tensors on a device."""
    return {name: tensor.to(device) for name, tensor in batch.items()}


def padded(rows: Sequence[Sequence[int]], padding: int) -> Tensor:
    """Rows of numbers as one tensor, *shape* ``(rows, longest)``, filled up behind each."""
    return pad_sequence(
        [torch.tensor(row, dtype=torch.long) for row in rows],
        batch_first=True,
        padding_value=padding,
    )
