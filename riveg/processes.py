"""Python programs of their own that work for this process and do not outlive it.

They are not children of ``multiprocessing``: nothing is forked under threads or a GPU, and a script
without a ``__main__`` guard is not run again.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

CORES = "RIVEG_CORES"
"""Environment variable: how many cores riveg takes, where that is not all that it may use."""

VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"
"""Environment variable of CUDA: the GPUs that a process sees, with commas between."""

_STARTED_BY = "RIVEG_STARTED_BY"
"""Environment variable of a program: the number of the process that started it."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
_SET_PARENT_DEATH_SIGNAL = 1


def start_python(
    code: str,
    *arguments: str,
    threads: int,
    gpu: str = "",
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = None,
    stderr: int | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Starts the interpreter of this process, with its packages and at most one GPU.

    Args:
        code: What it runs; its first act is :func:`end_with_parent`.
        arguments: Of the code.
        threads: How many threads libraries may start in it, and cores it may count on.
        gpu: The one that it sees, as ``CUDA_VISIBLE_DEVICES`` names it; empty: none.
        stdin: As that of :class:`subprocess.Popen`.
        stdout: Likewise.
        stderr: Likewise.
        pass_fds: Likewise.

    Raises:
        OSError: If it cannot be started.
    """
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code, *arguments],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        env={
            **os.environ,
            **dict.fromkeys(_THREADS, str(threads)),
            CORES: str(threads),
            _STARTED_BY: str(os.getpid()),
            VISIBLE_GPUS: gpu,
            "PYTHONPATH": path,
        },
        # A group of its own, so that Ctrl-C reaches this process alone.
        process_group=0,
    )


def end_with_parent(*, at_once: bool = False) -> None:
    """Has this process end after the one that started it, even while it loads libraries.

    That one may be gone already: the interpreter needs its time to get here.

    Args:
        at_once: Not up to half a second later, where the kernel can do that (Linux): for a process
            that writes files which the next run reads. It then also ends with the thread that
            started it.
    """
    if at_once and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    parent = int(os.environ[_STARTED_BY])
    if os.getppid() != parent:
        os._exit(0)
    threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)
