"""Processes found by a marker among their environment variables, on Linux: who is still there?"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterator
from pathlib import Path


def marked_processes(marker: str) -> list[int]:
    """Living processes that have the marker, and all of their sessions; not this process.

    A process that renames itself, as vLLM's workers do, loses its variables: hence the sessions.
    """
    marked = [number for number in _process_ids() if _has(number, marker)]
    sessions = {session_of(number) for number in marked} - {None, session_of(os.getpid())}
    others = (number for session in sessions if session for number in members_of(session))
    return sorted({*marked, *others})


def members_of(session: int) -> list[int]:
    """Living processes of a session; not this process."""
    return [number for number in _process_ids() if session_of(number) == session]


def session_of(number: int) -> int | None:
    """The session of a process that has not ended."""
    try:
        # The name before it may hold anything, also blanks and brackets.
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else int(fields[3])


def command_of(number: int) -> bytes:
    """The arguments of a process, with zero bytes between them; nothing where it has ended."""
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return b""


def gone_within(processes: Collection[int], seconds: float) -> bool:
    """Whether all of them have ended in time."""
    deadline = time.monotonic() + seconds
    while any(session_of(number) is not None for number in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def end_marked(marker: str) -> None:
    """Ends what a failed test has left."""
    for number in marked_processes(marker):
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _process_ids() -> Iterator[int]:
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and int(path.name) != os.getpid():
            yield int(path.name)


def _has(number: int, marker: str) -> bool:
    try:
        return marker.encode() in Path(f"/proc/{number}/environ").read_bytes()
    except OSError:
        return False
