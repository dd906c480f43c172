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
Output = TypeVar("Output")

_SHORT_OF_MEMORY = ("can't allocate memory", "out of memory", "_STATUS_ALLOC_FAILED")
"""Words in the errors of the CPU's allocator, of mps, and of CUDA's libraries."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """Memory was too short for the ``wanted`` items at once, and enough for ``fitted``.

    The names are keys of the run's manifest.
    """

    wanted: int
    fitted: int

    def __str__(self) -> str:
        return f"out of memory with {self.wanted} items at once; went on with {self.fitted}"


_shortages: ContextVar[dict[str, Shortage] | None] = ContextVar("shortages", default=None)


@contextmanager
def note_shortages() -> Iterator[dict[str, Shortage]]:
    """Collects shortages by the computation that met them; a smaller size holds in the block."""
    shortages: dict[str, Shortage] = {}
    token = _shortages.set(shortages)
    try:
        yield shortages
    finally:
        _shortages.reset(token)


def in_batches(
    items: Sequence[Item],
    size: int,
    forward: Callable[[Sequence[Item]], Sequence[Output]],
) -> Iterator[Output]:
    """The output for each item, in order; a batch that does not fit in memory is halved.

    The halved size holds for the following batches: memory that is short stays short. Within
    :func:`note_shortages` it also holds for later calls.

    Args:
        items: Inputs of the network.
        size: Highest number of items at once.
        forward: One call of the network; gives as many outputs as items, in order.

    Raises:
        RuntimeError: As torch raises it, if one item alone does not fit.
    """
    name, shortages, wanted = _name_of(forward), _shortages.get(), size
    if shortages is not None and name in shortages:
        size = min(size, shortages[name].fitted)
    start = 0
    while start < len(items):
        batch = items[start : start + size]
        outputs = _try(batch, forward)
        if outputs is None:
            size = max(1, len(batch) // 2)
            log.warning("out of memory with %d items at once; going on with %d", len(batch), size)
            if shortages is not None:
                shortages[name] = Shortage(wanted, size)
            continue
        yield from outputs
        start += len(batch)


def _name_of(forward: Any) -> str:
    while isinstance(forward, partial):
        forward = forward.func
    return str(getattr(forward, "__qualname__", type(forward).__qualname__))


def _is_shortage(error: Exception) -> bool:
    """Whether memory was short: only CUDA's allocator has an error class of its own for it."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in _SHORT_OF_MEMORY
    )


def _try(
    batch: Sequence[Item], forward: Callable[[Sequence[Item]], Sequence[Output]]
) -> Sequence[Output] | None:
    import torch

    try:
        return forward(batch)
    except RuntimeError as error:
        if len(batch) == 1 or not _is_shortage(error):
            raise
    # Outside the except block: the exception keeps the frames alive, and these keep the memory.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None
