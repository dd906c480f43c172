"""Checkpoints that are pickles: tensors and their names are read, code is not."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

from riveg.checkpoints.folders import EXTRA
from riveg.errors import MissingExtra, UserError

OF_OTHER_CONTENT = (
    *(OSError, EOFError, pickle.UnpicklingError, RuntimeError),
    *(LookupError, TypeError, ValueError, AttributeError),
)
"""Errors of reading a ``.pth`` file that holds no checkpoint, or that of another network."""


def import_torch() -> Any:
    """torch.

    Raises:
        MissingExtra: If it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("this backend", "torch", EXTRA) from error
    return torch


def read_checkpoint(path: Path, what: str) -> Any:
    """The content of a ``.pth`` file: tensors and their names; other objects are not read.

    Args:
        path: The file.
        what: What the file should be, for the message.

    Raises:
        UserError: If the file is damaged, or holds other objects.
    """
    torch = import_torch()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            return torch.load(path, map_location="cpu", weights_only=True)
    except OF_OTHER_CONTENT as error:
        # The library's own message advises to read the file without safety.
        raise UserError(
            f"{path}: is no {what}: it is damaged, or holds more than weights, which is not read"
        ) from error
