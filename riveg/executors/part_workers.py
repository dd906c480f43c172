"""Processes that do the parts of a job, each the next one as soon as it has done one.

They stay from one job to the next, so that libraries are loaded once. A process that is killed from
outside (by the kernel where memory is short) loses the part that it was at, which another one does.
"""

from __future__ import annotations

import logging
import signal
import subprocess
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait

from riveg.errors import UserError
from riveg.executors.executor import Job, PartListener, PartReport
from riveg.processes import start_python

_CODE = "from riveg.executors.part_process import main; main()"


@dataclass(eq=False, slots=True)
class _Process:
    """A worker.

    Args:
        program: It.
        pipe: To it and from it.
        part: What it is at.
        last: The part that it did before in this job: it may not be written yet.
        told: What it has told of its part: samples kept, made, with Issues.
    """

    program: subprocess.Popen[bytes]
    pipe: Connection
    part: int | None = None
    last: int | None = None
    told: tuple[int, int, int] = (0, 0, 0)


class PartWorkers:
    """Worker processes.

    Args:
        count: How many.
        threads: Of each.
        progress: Hears how the parts get on.
        gpus: One for each of them, as ``CUDA_VISIBLE_DEVICES`` names it; empty: they see none.

    Raises:
        UserError: If they cannot be started.
    """

    def __init__(
        self, count: int, threads: int, progress: PartListener, gpus: Sequence[str] = ()
    ) -> None:
        self.gpus = tuple(gpus)
        self._progress = progress
        self._processes: list[_Process] = []
        self._again: set[int] = set()
        try:
            for gpu in gpus or [""] * count:
                self._processes.append(_start(threads, gpu))
        except OSError as error:
            self.close()
            raise UserError(
                f"no {count} processes can be started ({error.strerror}); take fewer, for example "
                "--set run.workers=1"
            ) from error

    def run(self, job: Job, parts: Iterable[int]) -> Iterator[PartReport]:
        """The report of each part, as soon as it is there; with the last one all is written.

        Raises:
            UserError: If no process is left; and whatever the job raises.
        """
        left = deque(parts)
        while left:  # once more where a process has ended before all of its parts were written
            for process in self._processes:
                process.last = None
                _send(process, job)
            yield from self._work(left)
            self._finish(left)
        self._again.clear()

    def _work(self, left: deque[int]) -> Iterator[PartReport]:
        self._give(left)
        while any(one.part is not None for one in self._processes):
            for process in self._spoken():
                report = self._hear(process, left)
                if isinstance(report, PartReport):
                    if process.part not in self._again:
                        yield report
                    process.part, process.last = None, process.part
            self._give(left)

    def _give(self, left: deque[int]) -> None:
        """A part for each process that has none."""
        for process in self._processes:
            if process.part is None and left:
                process.part, process.told = left.popleft(), (0, 0, 0)
                _send(process, process.part)

    def _finish(self, left: deque[int]) -> None:
        """Has every process write all and free what it holds."""
        closing = list(self._processes)
        for process in closing:
            _send(process, None)
        while closing:
            for process in self._spoken():
                if self._hear(process, left) == "closed":
                    process.last = None
                    closing.remove(process)
            closing = [process for process in closing if process in self._processes]

    def _spoken(self) -> list[_Process]:
        """Waits for the processes; those that have told something, or have ended."""
        told = wait([process.pipe for process in self._processes])
        return [process for process in self._processes if process.pipe in told]

    def close(self) -> None:
        """Ends them; what they were at is lost."""
        for process in self._processes:
            process.program.kill()
        for process in self._processes:
            process.program.wait()
            process.pipe.close()
        self._processes.clear()

    def _hear(self, process: _Process, left: deque[int]) -> object:
        """What a process tells; ``None`` if it is no answer to what it was sent."""
        try:
            message = process.pipe.recv()
        except (EOFError, OSError):
            self._bury(process, left)
            return None
        match message:
            case PartReport() | "closed":
                return message
            case "told", kept, made, issues:
                self._tell(process, kept, made, issues)
            case "note", text:
                self._progress.note(text)
            case "log", record:
                _log(record)
            case "failed", error:
                raise error
        return None

    def _tell(self, process: _Process, kept: int, made: int, issues: int) -> None:
        if process.part in self._again:
            return
        before = process.told
        process.told = (before[0] + kept, before[1] + made, before[2] + issues)
        self._progress.keep(kept)
        self._progress.advance(made, issues)

    def _bury(self, process: _Process, left: deque[int]) -> None:
        """Gives what a process that has ended leaves to the others."""
        self._processes.remove(process)
        process.pipe.close()
        cause = _cause(process.program.wait())
        if not self._processes:
            raise UserError(
                f"the last process at work {cause}; if memory is short, take fewer with "
                "--set run.workers=N; the same command goes on with what is done"
            )
        self._progress.note(f"a process at work {cause}; others do its part")
        if process.part is not None:
            kept, made, issues = process.told
            self._tell(process, -kept, -made, -issues)
            left.appendleft(process.part)
        if process.last is not None:
            self._again.add(process.last)
            left.appendleft(process.last)


def _log(record: logging.LogRecord) -> None:
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def _start(threads: int, gpu: str) -> _Process:
    own, other = Pipe()
    with other:
        number = other.fileno()
        level = logging.getLogger("riveg").getEffectiveLevel()
        program = start_python(
            _CODE, str(number), str(level), threads=threads, gpu=gpu, pass_fds=[number]
        )
    return _Process(program, own)


def _send(process: _Process, message: object) -> None:
    # One that has ended is found when it is listened to.
    with suppress(BrokenPipeError, ConnectionResetError):
        process.pipe.send(message)


def _cause(status: int) -> str:
    """How a process ended, in words."""
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"has ended with code {status}"
