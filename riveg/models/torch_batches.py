"""Many items through a network, as many at once as memory allows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def in_batches(
    items: Sequence[Item],
    size: int,
    forward: Callable[[Sequence[Item]], Sequence[Answer]],
) -> Iterator[Answer]:
    """An answer for each item, in order; where memory does not suffice, the batch is halved.

    The halved size holds for what follows: memory that is short stays short.

    Args:
        items: What is asked about.
        size: At most so many at once.
        forward: One call of the network; as many answers as items, in order.

    Raises:
        torch.OutOfMemoryError: If one item alone does not fit.
    """
    start = 0
    while start < len(items):
        batch = items[start : start + size]
        answers = _tried(batch, forward)
        if answers is None:
            size = max(1, len(batch) // 2)
            log.warning("out of memory with %d items at once; going on with %d", len(batch), size)
            continue
        yield from answers
        start += len(batch)


def _tried(
    batch: Sequence[Item], forward: Callable[[Sequence[Item]], Sequence[Answer]]
) -> Sequence[Answer] | None:
    import torch

    try:
        return forward(batch)
    except torch.OutOfMemoryError:
        if len(batch) == 1:
            raise
    # Outside the except block: the exception holds on to the frames, and they to the memory.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None
