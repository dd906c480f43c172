"""Posts with their queries as the tensors that MNER-QG reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from riveg.nn.query_windows import QueryWindow
from riveg.nn.tagger_inputs import padded


@dataclass(frozen=True, slots=True)
class QueriedPost:
    """The windows of all queries of a post, and its image as the backbone takes it.

    *Shape* of ``image``: ``(3, side, side)``; ``None`` where there is none that can be used.
    """

    windows: tuple[QueryWindow, ...]
    image: Tensor | None


def collate_queries(posts: Sequence[QueriedPost], *, padding_id: int) -> dict[str, Tensor]:
    """The network's inputs; a row is a window of a post.

    Args:
        posts: With one window at least among them.
        padding_id: The tokenizer's piece for padding.

    Returns:
        ``input_ids``, ``attention_mask``, ``token_type_ids`` (1 behind the query), *shape*
        ``(rows, pieces)``; ``places (rows, words)``, the first piece of each word, and ``words
        (rows, words)``, false at padding; ``image_of (rows,)``, the row's image, -1 for none;
        ``pixels (images, 3, side, side)``, each image once.
    """
    windows = [window for post in posts for window in post.windows]
    images = [post.image for post in posts if post.image is not None]
    image_of: list[int] = []
    seen = 0
    for post in posts:
        image_of += [-1 if post.image is None else seen] * len(post.windows)
        seen += post.image is not None
    places = [torch.tensor(window.first_pieces, dtype=torch.long) for window in windows]
    ends = [
        torch.tensor([*window.first_pieces[1:], window.words_end], dtype=torch.long)
        for window in windows
    ]
    types = [
        [0] * window.query_pieces + [1] * (len(window.input_ids) - window.query_pieces)
        for window in windows
    ]
    return {
        "input_ids": padded([window.input_ids for window in windows], padding_id),
        "attention_mask": padded([[1] * len(window.input_ids) for window in windows], 0),
        "token_type_ids": padded(types, 0),
        "places": pad_sequence(places, batch_first=True),
        "ends": pad_sequence(ends, batch_first=True),
        "words": pad_sequence(
            [torch.ones_like(one, dtype=torch.bool) for one in places], batch_first=True
        ),
        "image_of": torch.tensor(image_of, dtype=torch.long),
        "pixels": torch.stack(images) if images else torch.zeros(0, 3, 1, 1),
    }
