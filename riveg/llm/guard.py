"""Runs a command and ends all its processes when the process that started it ends.

    python -I guard.py GRACE_S COMMAND [ARGUMENT ...]
    python -I guard.py GRACE_S --watch

Standard input is a pipe that the owner holds. When the pipe closes, because the owner closes it or
is killed, the command's whole process group is told to end, and killed after ``GRACE_S`` seconds.
When the command ends by itself, the rest of its group is ended the same way. The exit code is the
command's, 128 + N if a signal N ended it, 127 if it could not be started.

With ``--watch`` it runs nothing: the owner writes the ids of processes that it has started, one a
line, and they are ended if the pipe closes before a line ``done``.

It is a process of its own, because no process can clean up after its own SIGKILL; it imports the
standard library only, so that it starts fast. On Linux the command is told to end when its guard
ends, and the guard becomes the parent of the group's orphans.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

_TICK_S = 0.2
_GRACE_OF_KILLED_S = 10.0
"""How long the kernel may take to end killed processes: it may write or free memory first."""
_PARENT_DEATH_SIGNAL = 1
_SUBREAPER = 36
"""Numbers of ``prctl``, from Linux' headers."""


def main(arguments: list[str]) -> int:
    """Runs the command until it ends or the pipe closes; returns its exit code."""
    grace_s, command = float(arguments[0]), arguments[1:]
    _ignore_signals()
    if command == ["--watch"]:
        return _watch(grace_s)
    _prctl(_SUBREAPER, 1)
    owner = os.getppid()
    try:
        # The guard has one thread, so that code between fork and exec is safe. The kernel tells a
        # child of the death of that thread, not of the process.
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509
        )
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror or error}\n")
        return 127
    code = None
    while code is None and not _has_lost_owner(owner):
        code = child.poll()
    _end_group(child, grace_s)
    code = child.wait()
    return 128 - code if code < 0 else code


def _watch(grace_s: float) -> int:
    """Waits until the pipe closes, then ends the processes that the owner has named; returns 0."""
    words = sys.stdin.read().split()  # all that the owner writes until the pipe closes
    if "done" in words:
        return 0
    for number in (signal.SIGTERM, signal.SIGKILL):
        for word in words:
            with contextlib.suppress(OSError):
                os.kill(int(word), number)
        deadline = time.monotonic() + grace_s
        while time.monotonic() < deadline and any(_exists(int(word)) for word in words):
            time.sleep(_TICK_S)
    return 0


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True


def _ignore_signals() -> None:
    """Signals that a terminal or a job system sends to all processes are for the owner."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)


def _end_with_parent() -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    _prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    """Calls ``prctl`` on Linux; elsewhere the pipe must do."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _has_lost_owner(owner: int) -> bool:
    """Waits a moment; returns whether the owner has closed the pipe or is gone.

    The pipe alone does not tell: a process that the owner has forked may hold it open.
    """
    readable, _, _ = select.select([sys.stdin.fileno()], [], [], _TICK_S)
    return (bool(readable) and not os.read(sys.stdin.fileno(), 64)) or os.getppid() != owner


def _end_group(child: subprocess.Popen[bytes], grace_s: float) -> None:
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, _GRACE_OF_KILLED_S)):
        _send(child.pid, number)
        deadline = time.monotonic() + patience_s
        while _is_running(child):
            if time.monotonic() > deadline:
                break
            time.sleep(_TICK_S / 4)
        else:
            return


def _is_running(child: subprocess.Popen[bytes]) -> bool:
    """Whether any process of the group still runs; collects the exit codes of ended ones."""
    child.poll()
    try:
        # On Linux the guard is also the parent of the group's orphans.
        while child.returncode is not None and os.waitpid(-child.pid, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    return _send(child.pid, 0)


def _send(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS: the group has only ended processes
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
