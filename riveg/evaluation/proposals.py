"""A detector's candidate boxes, as H-Index and TIGER read them."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from riveg.errors import UserError
from riveg.types import Box

_FORM = "VinVL's features: <id>.jpg.npz with bounding_boxes (n x 4), or <id>.npz"


def read_proposals(folder: Path, sample_id: str) -> tuple[Box, ...]:
    """The boxes of one image, best first; ``()`` where the folder has no file for it.

    Boxes that enclose nothing are left out.

    Raises:
        UserError: If the folder does not exist, or a file is damaged.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; it should hold {_FORM}")
    if "/" in sample_id or sample_id in {"", ".", ".."}:
        return ()
    for name in (f"{sample_id}.jpg.npz", f"{sample_id}.npz"):
        if (folder / name).is_file():
            return _boxes(folder / name)
    return ()


def _boxes(path: Path) -> tuple[Box, ...]:
    try:
        # Never with pickles: the file comes from somebody else.
        with np.load(path, allow_pickle=False) as arrays:
            rows = np.asarray(arrays["bounding_boxes"], dtype=float)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise UserError(f"{path}: holds no bounding_boxes ({error}); expected {_FORM}") from error
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise UserError(f"{path}: bounding_boxes of shape {rows.shape}; expected {_FORM}")
    return tuple(Box(*row) for row in rows.tolist() if row[0] < row[2] and row[1] < row[3])
