"""The GPUs of this machine, and how many of them a job takes."""

from __future__ import annotations

import os
import shutil
import subprocess

from riveg.config.threads import ThreadCount
from riveg.errors import UserError
from riveg.processes import VISIBLE_GPUS

_PATIENCE_S = 60.0


def gpus_of(device: str | None, wanted: ThreadCount) -> tuple[str, ...]:
    """The GPUs that copies of a network go to, as ``CUDA_VISIBLE_DEVICES`` names them.

    Args:
        device: What the network runs on, as configured; ``None``: there is none.
        wanted: How many GPUs; ``auto``: all that this process sees.

    Returns:
        None for what needs no GPU, or one of its own choice.

    Raises:
        UserError: If fewer are there than are wanted.
    """
    if wanted == 1 or device not in {"auto", "cuda"}:
        return ()
    found = visible_gpus()
    if wanted == "auto":
        return found
    if wanted > len(found):
        raise UserError(
            f"run.gpus: {wanted} are asked for and {len(found)} are there (by {VISIBLE_GPUS}, else "
            "nvidia-smi); say auto, or fewer"
        )
    return found[:wanted]


def visible_gpus() -> tuple[str, ...]:
    """The GPUs that this process sees; torch is not loaded for it."""
    told = os.environ.get(VISIBLE_GPUS)
    if told is not None:
        names = [name.strip() for name in told.split(",")]
        # CUDA passes over what comes after the first name that is none.
        end = next((at for at, name in enumerate(names) if name in {"", "-1"}), len(names))
        return tuple(names[:end])
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    command = [program, "--query-gpu=index", "--format=csv,noheader"]
    try:
        listed = subprocess.run(
            command, capture_output=True, check=True, text=True, timeout=_PATIENCE_S
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in listed.stdout.splitlines() if line.strip().isdecimal())
