"""One part after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Report = TypeVar("Report")


class LocalExecutor:
    """Runs a task over parts in order; backends bring their own threads."""

    def map(self, task: Callable[[int], Report], parts: Iterable[int]) -> Iterator[Report]:
        """The task's report of each part, as soon as it is there."""
        for index in parts:
            yield task(index)
