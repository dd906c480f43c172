"""A job that has a network by its configuration, and writes down which GPU each part sees."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from riveg.executors.executor import PartListener, PartReport


@dataclass(frozen=True)
class GpuJob:
    """Leaves the process and its ``CUDA_VISIBLE_DEVICES`` in a file for each part.

    Args:
        folder: Of the files.
        device: As a backend's configuration has it.
        is_parallel: Whether it only computes.
        wait_for: How many processes each waits to see at work, so that all of them have parts.
    """

    folder: Path
    device: str | None = "auto"
    is_parallel: bool = False
    wait_for: int = 1

    @contextmanager
    def open(self, *, progress: PartListener) -> Iterator[Callable[[int], PartReport]]:
        yield self._do

    def _do(self, part: int) -> PartReport:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        (self.folder / f"{part}").write_text(f"{os.getpid()} {seen}")
        end = time.monotonic() + 60
        while len(self.processes()) < self.wait_for and time.monotonic() < end:
            time.sleep(0.02)
        return PartReport(index=part, samples=1, made=1, issues=0)

    def processes(self) -> dict[int, str]:
        """The processes that did parts, and what each of them saw."""
        told = (path.read_text().split(" ", 1) for path in self.folder.iterdir())
        return {int(one[0]): one[1] for one in told if len(one) == 2}
