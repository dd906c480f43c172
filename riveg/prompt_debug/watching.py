"""Notices when files are saved, by polling them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_INTERVAL_S = 0.3

Stamp = tuple[int, int, int] | None


def changes(paths: Sequence[Path], *, interval_s: float = _INTERVAL_S) -> Iterator[None]:
    """Yields at once, and then each time after one of the files has changed; never ends.

    An editor may save by replacing the file: that is noticed, too, and a file that is missing for a
    moment is waited for.
    """
    before: list[Stamp] | None = None
    while True:
        now = [_stamp(path) for path in paths]
        if before is None or (now != before and None not in now):
            # Taken before the caller reads: a save during the reading is noticed next time.
            before = now
            yield
        time.sleep(interval_s)


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
