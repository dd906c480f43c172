"""Networks as ONNX files, run by onnxruntime on a processor."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from riveg.errors import UserError

if TYPE_CHECKING:
    import onnxruntime


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """A network that computes on one thread; several threads may run it at the same time.

    One thread for each call, because callers keep the cores busy with several images: two threads
    inside a call are slower then. And the order of sums never changes.

    Raises:
        UserError: If the file is not there or is no network.
    """
    if not path.is_file():
        raise UserError(f"{path}: not there; install riveg again, its models have been removed")
    silence_telemetry()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class
        raise UserError(f"{path}: is no network that onnxruntime can load ({error})") from error


def silence_telemetry() -> None:
    """Keeps onnxruntime from reporting its use to its maker.

    onnxruntime reads the variable when it is imported; without it, it keeps a device id and a queue
    in the user's home. A variable that the user has set stays as it is.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
