"""How many cores there are, and how many threads or processes a configuration asks for."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from riveg.errors import UserError
from riveg.processes import CORES

ThreadCount = int | Literal["auto"]


def _known_count(value: Any) -> Any:
    if value != "auto" and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError("it has to be auto or a number, at least 1")
    return value


Threads = Annotated[ThreadCount, BeforeValidator(_known_count)]
"""A configuration's field: ``auto`` or a number of at least 1."""


def count_threads(threads: ThreadCount) -> int:
    """The number of threads; ``auto`` is one a core.

    Raises:
        UserError: As :func:`count_cores`.

    >>> count_threads(3)
    3
    """
    return count_cores() if threads == "auto" else threads


def count_cores(root: Path = Path("/")) -> int:
    """The cores that this process may use; at least 1.

    What the variable ``RIVEG_CORES`` says, or else those that it may be scheduled on (``taskset``),
    as far as its control groups, of either version, and those around them give it time on them
    (a container's ``--cpus``); a part of a core counts as one.

    Args:
        root: Where the system's files are.

    Raises:
        UserError: If the variable holds no number.
    """
    told = os.environ.get(CORES)
    if told is not None:
        if not told.isdecimal() or not 1 <= int(told) <= _MOST_CORES:
            raise UserError(f"{CORES}: expected a number of cores, at least 1, found {told!r:.40}")
        return int(told)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, math.ceil(min([allowed or 1, *_shares(root)])))


_MOST_CORES = 1 << 16
_GROUPS = Path("proc/self/cgroup")
_MOUNTED = Path("sys/fs/cgroup")


def _shares(root: Path) -> Iterator[float]:
    """For each control group with a limit that this process is in, the cores it amounts to."""
    try:
        lines = (root / _GROUPS).read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Inside a container the group may be told by its name outside; what is mounted is then
        # the group itself.
        top = root / _MOUNTED / controllers
        inner = top / group.lstrip("/")
        for folder in (inner, *inner.parents):
            yield from _share(folder)
            if folder == top:
                break


def _share(folder: Path) -> Iterator[float]:
    """The limit of one group, in cores; nothing where it has none."""
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        if quota not in {"max", "-1"}:
            yield int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return
