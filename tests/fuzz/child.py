"""The process that a fuzz drives riveg in: started again when it dies, hangs or has grown."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from helpers.places import ROOT, TESTS

_LONGEST_S = 180.0
"""How long a command may take on a busy machine before it counts as one that never ends."""

_GROWN = 2 << 30
"""A process that ever had more bytes than this is followed by a fresh one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did.

    ``fault`` says why the process itself ended, empty where it did not; ``seconds`` are of the
    processor, ``grown`` bytes that its peak of memory rose by.
    """

    code: int
    stdout: str
    stderr: str
    trace: str
    outside: tuple[str, ...]
    seconds: float
    grown: int
    fault: str = ""


class Child:
    """A worker and its folder for temporary files."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._process: subprocess.Popen[str] | None = None
        self._peak = 0

    def do(self, folder: Path, arguments: Sequence[str]) -> Outcome:
        """Gives a command in a folder, which what it writes must not leave.

        One that begins with ``module:name`` calls a function of the fuzz.
        """
        process = self._started()
        request = {"folder": str(folder.resolve()), "arguments": [*arguments]}
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], _LONGEST_S)
        line = process.stdout.readline() if ready else ""
        if not line:
            return self._dead("" if ready else f"no end after {_LONGEST_S:.0f} s")
        reply = json.loads(line)
        before, self._peak = self._peak, reply.pop("peak_bytes")
        reply["outside"] = tuple(reply["outside"])
        if self._peak > _GROWN:
            self.close()
        return Outcome(**reply, grown=self._peak - before if before else 0)

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process, self._peak = None, 0

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            scratch = str(self._scratch)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fuzz.worker", scratch],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env={
                    **os.environ,
                    "PYTHONPATH": f"{ROOT}{os.pathsep}{TESTS}",
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "PYTHONIOENCODING": "utf-8",
                    "COLUMNS": "80",
                    "HOME": scratch,
                    "TMPDIR": scratch,
                    "XDG_CACHE_HOME": scratch,
                    "HF_HOME": scratch,
                    # torch sets it in the process of the tests, for all that these start.
                    "TORCHINDUCTOR_CACHE_DIR": scratch,
                },
            )
        return self._process

    def _dead(self, fault: str) -> Outcome:
        process = self._started()
        process.kill()
        process.communicate()
        self._process, self._peak = None, 0
        stack = (self._scratch / "fault").read_text()[-2000:]
        ended = signal.Signals(-process.returncode).name if process.returncode < 0 else "ended"
        return Outcome(1, "", "", stack, (), 0, 0, fault or f"the process died of {ended}")
