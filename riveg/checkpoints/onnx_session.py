"""Networks as ONNX files, run by onnxruntime on a processor."""

from __future__ import annotations

import os
from collections.abc import Set
from pathlib import Path
from typing import TYPE_CHECKING

from riveg.checkpoints.onnx_files import read_onnx
from riveg.errors import UserError, reason

if TYPE_CHECKING:
    import onnxruntime


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """A network that computes on one thread; several threads may run it at the same time.

    One thread for each call, because callers keep the cores busy with several images: two threads
    inside a call are slower then. And the order of sums never changes.

    Raises:
        UserError: If the file is not there, is no network, or takes weights from another file.
    """
    if not path.is_file():
        raise UserError(f"{path}: not there; install riveg again, its models have been removed")
    content = read_onnx(path)
    silence_telemetry()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class
        raise UserError(
            f"{path}: is no network that onnxruntime can load ({reason(error)})"
        ) from error


def require_inputs(
    session: onnxruntime.InferenceSession, path: Path, inputs: Set[str], classes: int
) -> None:
    """Makes sure that a network takes these inputs and gives one score for each of the classes.

    Raises:
        UserError: If it does not.
    """
    found = {each.name for each in session.get_inputs()}
    if found != inputs:
        raise UserError(
            f"{path}: takes {', '.join(sorted(found)) or 'nothing'}, expected "
            f"{', '.join(sorted(inputs))}"
        )
    outputs = [each.shape for each in session.get_outputs()]
    if len(outputs) != 1 or len(outputs[0]) != 3:
        raise UserError(f"{path}: expected one output of three dimensions")
    # A dimension that the network leaves open has a name.
    if isinstance(outputs[0][-1], int) and outputs[0][-1] != classes:
        raise UserError(f"{path}: gives {outputs[0][-1]} classes, its settings name {classes}")


def silence_telemetry() -> None:
    """Keeps onnxruntime from reporting its use to its maker.

    onnxruntime reads the variable when it is imported; without it, it keeps a device id and a queue
    in the user's home. A variable that the user has set stays as it is.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
