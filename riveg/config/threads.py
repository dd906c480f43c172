"""How many threads a backend may use, as a configuration says it."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

ThreadCount = int | Literal["auto"]


def _known_count(value: Any) -> Any:
    if value != "auto" and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError("it has to be auto or a number of threads, at least 1")
    return value


Threads = Annotated[ThreadCount, BeforeValidator(_known_count)]
"""A configuration's field: ``auto`` or a number of at least 1."""


def count_threads(threads: ThreadCount) -> int:
    """The number of threads; ``auto`` is one a core.

    >>> count_threads(3)
    3
    """
    return (os.cpu_count() or 1) if threads == "auto" else threads
