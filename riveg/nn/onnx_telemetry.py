"""riveg sends nothing to anybody whom a configuration does not name."""

from __future__ import annotations

import os


def silence_telemetry() -> None:
    """Keeps onnxruntime from reporting its use to its maker.

    onnxruntime reads the variable when it is imported; without it, it keeps a device id and a queue
    in the user's home. A variable that the user has set stays as it is.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
