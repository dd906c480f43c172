"""``logs/riveg.log``: what a run tells its user, as JSON lines, for whoever looks later."""

from __future__ import annotations

import json
import os
import shlex
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Literal

from riveg.errors import RivegError, UserError
from riveg.files import make_folder, writing
from riveg.runs.building import LOGS
from riveg.runs.folder import RunFolder
from riveg.runs.progress import Progress
from riveg.text.secrets import Redaction, secrets_of

RUN_LOG = "riveg.log"

_BLOCK = 1024
"""Bytes in which the last line end is looked for; most lines are shorter."""

Level = Literal["info", "warning", "error"]


class RunLog:
    """Adds lines to the log of a run folder; threads may share it.

    No line holds a secret of the environment. Before the folder has its input nothing is written:
    a run that cannot begin leaves nothing behind.

    Args:
        folder: A run that goes on adds to what is there.

    Raises:
        UserError: If the log cannot be written; every method as well.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._path = folder.path / LOGS / RUN_LOG
        self._hidden = Redaction(secrets_of(os.environ))
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []

    def write(
        self,
        event: str,
        message: str = "",
        *,
        level: Level = "info",
        values: Mapping[str, object] | None = None,
    ) -> None:
        """Adds a line.

        Args:
            event: What has happened, in one or two words.
            message: For people.
            level: Whether somebody should look at it.
            values: What belongs to it: ``stage``, ``part``, numbers.
        """
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": level,
            "event": event,
            **(values or {}),
            **({"message": self._hidden(message)} if message else {}),
        }
        text = json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace")
        with self._lock:
            self._waiting.append(text + b"\n")
            if self._folder.input.path.is_dir():
                self._append()

    def _append(self) -> None:
        make_folder(self._path.parent)
        if self._path.exists() and not self._path.is_file():
            raise UserError(f"{self._path}: is there and is no file; move it away")
        with writing(self._path, goes_on=True), self._path.open("a+b") as handle:
            _cut_torn_line(handle)
            handle.writelines(self._waiting)
        self._waiting.clear()

    @contextmanager
    def run(self, values: Mapping[str, object]) -> Iterator[None]:
        """A run begins and ends with the block, in whatever way it ends.

        Args:
            values: What belongs to its beginning.
        """
        begun = {"command": self._hidden(shlex.join(sys.argv)), "process": os.getpid(), **values}
        self.write("run begun", values=begun)
        try:
            yield
        except RivegError as error:
            self.write("run stopped", str(error), level="error")
            raise
        except KeyboardInterrupt:
            self.write("run stopped", "interrupted", level="warning")
            raise
        except Exception as error:
            self.write("run stopped", f"{type(error).__name__}: {error}", level="error")
            raise


def _cut_torn_line(handle: IO[bytes]) -> None:
    """Removes what follows the last line end: a full disk or a kill has left half a line."""
    size = end = handle.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - _BLOCK)
        handle.seek(start)
        found = handle.read(end - start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        handle.truncate(end)


class LoggedProgress:
    """Implements :class:`~riveg.runs.progress.Progress`: tells another one, and a log.

    Args:
        progress: The other one.
        log: Hears of stages and notes.
    """

    def __init__(self, progress: Progress, log: RunLog) -> None:
        self._progress = progress
        self._log = log
        self._stage = ""
        self._counts = {"made": 0, "kept": 0, "issues": 0}

    def begin(self, stage: str, total: int | None) -> None:
        """A stage starts."""
        self._stage = stage
        self._counts = dict.fromkeys(self._counts, 0)
        self._log.write("stage begun", values={"stage": stage, "samples": total})
        self._progress.begin(stage, total)

    def keep(self, samples: int) -> None:
        """Samples had been done before."""
        self._counts["kept"] += samples
        self._progress.keep(samples)

    def advance(self, samples: int, issues: int) -> None:
        """Samples are done."""
        self._counts["made"] += samples
        self._counts["issues"] += issues
        self._progress.advance(samples, issues)

    def remark(self, text: str) -> None:
        """Is shown and not logged."""
        self._progress.remark(text)

    def end(self, seconds: float) -> None:
        """The stage has ended."""
        values = {"stage": self._stage, "seconds": round(seconds, 3), **self._counts}
        self._log.write("stage ended", values=values)
        self._progress.end(seconds)

    def note(self, text: str) -> None:
        """Something to know."""
        self._log.write("note", text)
        self._progress.note(text)
