"""Many items through a network, as many at once as memory allows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_SHORT_OF_MEMORY = ("can't allocate memory", "out of memory", "_STATUS_ALLOC_FAILED")
"""What errors of a processor's allocator, of mps, and of CUDA's libraries say."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """Memory did not suffice for the ``wanted`` number of items at once, but for ``fitted``."""

    wanted: int
    fitted: int

    def __str__(self) -> str:
        return f"out of memory with {self.wanted} items at once; went on with {self.fitted}"


_noted: ContextVar[dict[str, Shortage] | None] = ContextVar("shortages", default=None)


@contextmanager
def shortages_noted() -> Iterator[dict[str, Shortage]]:
    """Notes shortages until the block ends, by what was computed; there they hold until then."""
    noted: dict[str, Shortage] = {}
    token = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(token)


def in_batches(
    items: Sequence[Item],
    size: int,
    forward: Callable[[Sequence[Item]], Sequence[Answer]],
) -> Iterator[Answer]:
    """An answer for each item, in order; where memory does not suffice, the batch is halved.

    The halved size holds for what follows: memory that is short stays short. Within
    :func:`shortages_noted` it also holds for later calls.

    Args:
        items: What is asked about.
        size: At most so many at once.
        forward: One call of the network; as many answers as items, in order.

    Raises:
        RuntimeError: As torch raises it, if one item alone does not fit.
    """
    work, noted, wanted = _name_of(forward), _noted.get(), size
    if noted is not None and work in noted:
        size = min(size, noted[work].fitted)
    start = 0
    while start < len(items):
        batch = items[start : start + size]
        answers = _tried(batch, forward)
        if answers is None:
            size = max(1, len(batch) // 2)
            log.warning("out of memory with %d items at once; going on with %d", len(batch), size)
            if noted is not None:
                noted[work] = Shortage(wanted, size)
            continue
        yield from answers
        start += len(batch)


def _name_of(forward: Any) -> str:
    while isinstance(forward, partial):
        forward = forward.func
    return str(getattr(forward, "__qualname__", type(forward).__qualname__))


def _is_shortage(error: Exception) -> bool:
    """Only CUDA's allocator has an error of its own for it; others say so in words."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in _SHORT_OF_MEMORY
    )


def _tried(
    batch: Sequence[Item], forward: Callable[[Sequence[Item]], Sequence[Answer]]
) -> Sequence[Answer] | None:
    import torch

    try:
        return forward(batch)
    except RuntimeError as error:
        if len(batch) == 1 or not _is_shortage(error):
            raise
    # Outside the except block: the exception holds on to the frames, and they to the memory.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None
