"""A detector's candidate boxes, as H-Index and TIGER read them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from riveg.errors import UserError
from riveg.evaluation.cases import PredictedEntity, Proposals
from riveg.types import Box, Region

_FORM = "VinVL's features: <id>.jpg.npz with bounding_boxes (n x 4), or <id>.npz"


def read_proposals(folder: Path, sample_id: str) -> Proposals:
    """The boxes of one image, best first; ``()`` where the folder has no file for it.

    A box that encloses nothing is ``None``: it keeps its place among the first so many.

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


def placed(predicted: PredictedEntity, proposals: Proposals | None) -> PredictedEntity:
    """The entity with the box of the candidate that it names."""
    number = predicted.candidate
    if number is None or proposals is None:
        return predicted
    box = proposals[number] if 0 <= number < len(proposals) else None
    return replace(predicted, regions=None if box is None else (Region(box),))


def _boxes(path: Path) -> Proposals:
    try:
        # Never with pickles: the file comes from somebody else.
        with np.load(path, allow_pickle=False) as arrays:
            rows = np.asarray(arrays["bounding_boxes"], dtype=float)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise UserError(f"{path}: holds no bounding_boxes ({error}); expected {_FORM}") from error
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise UserError(f"{path}: bounding_boxes of shape {rows.shape}; expected {_FORM}")
    if not np.isfinite(rows).all():
        raise UserError(f"{path}: bounding_boxes that are not numbers; expected {_FORM}")
    return tuple(
        Box(*row) if row[0] < row[2] and row[1] < row[3] else None for row in rows.tolist()
    )
