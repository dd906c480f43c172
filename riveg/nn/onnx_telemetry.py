"""Nothing is sent anywhere that a configuration does not name."""

from __future__ import annotations

import os


def silence_telemetry() -> None:
    """Keeps onnxruntime from reporting its use to its maker.

    It reads the variable when it is imported and keeps a device id and a queue in the user's home
    otherwise; a variable that the user has set stays as it is.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
