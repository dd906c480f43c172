"""A process that does parts of jobs for another one (:mod:`riveg.executors.part_workers`).

It is sent a job, the numbers of parts one by one, and ``None``, which ends the job; then the next.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import pickle
import sys
import traceback
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Lock
from typing import Any

from riveg.errors import RivegError, UserError
from riveg.executors.executor import Job
from riveg.processes import end_with_parent


def main() -> None:
    """Works until the other process has ended, or ends this one."""
    end_with_parent(at_once=True)
    pipe = _Pipe(int(sys.argv[1]))
    logging.basicConfig(handlers=[_LogSender(pipe)], level=int(sys.argv[2]))
    try:
        while True:
            _do(pipe.recv(), pipe)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)
    except BaseException as error:  # it is raised again in the other process
        pipe.send(("failed", portable(error)))


class _Pipe:
    """To the other process; any thread may send."""

    def __init__(self, number: int) -> None:
        self._connection = Connection(number)
        self._lock = Lock()

    def recv(self) -> Any:
        return self._connection.recv()

    def send(self, message: object) -> None:
        with self._lock:
            self._connection.send(message)


def _do(job: Job, pipe: _Pipe) -> None:
    with job.open(progress=_Teller(pipe)) as work:
        while (index := pipe.recv()) is not None:
            pipe.send(work(index))
    pipe.send("closed")


class _Teller:
    """Implements :class:`riveg.executors.executor.PartListener`: tells the other process."""

    def __init__(self, pipe: _Pipe) -> None:
        self._pipe = pipe

    def keep(self, samples: int) -> None:
        self._pipe.send(("told", samples, 0, 0))

    def advance(self, samples: int, issues: int) -> None:
        self._pipe.send(("told", 0, samples, issues))

    def note(self, text: str) -> None:
        self._pipe.send(("note", text))


class _LogSender(logging.handlers.QueueHandler):
    """Sends log records, with their arguments and tracebacks as text."""

    def __init__(self, pipe: _Pipe) -> None:
        super().__init__(SimpleQueue())  # is not used: enqueue() sends
        self._pipe = pipe

    def enqueue(self, record: logging.LogRecord) -> None:
        self._pipe.send(("log", record))


def portable(error: BaseException) -> BaseException:
    """The error itself where it can be sent, else what it says; where it arose, if it is a bug."""
    if not isinstance(error, RivegError):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        if isinstance(error, UserError):  # of a class that is made from more than its message
            return UserError(str(error))
        return RuntimeError("".join(traceback.format_exception(error)))
    return error
