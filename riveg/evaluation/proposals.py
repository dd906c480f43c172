"""A detector's candidate boxes, as H-Index and TIGER read them."""

from __future__ import annotations

import warnings
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from riveg.errors import UserError, reason
from riveg.evaluation.cases import PredictedEntity, Proposals
from riveg.files import open_regular
from riveg.types import Box, Region

_ARRAY = "bounding_boxes"
_MOST_BYTES = 1 << 20
"""Of the array: some 30 000 boxes, a hundred times what a detector proposes."""
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
        rows = _rows(path)
    except Exception as error:  # zipfile and numpy raise a dozen classes for damaged files
        raise UserError(
            f"{path}: holds no bounding_boxes ({reason(error)}); expected {_FORM}"
        ) from error
    if not np.isfinite(rows).all():
        raise UserError(f"{path}: bounding_boxes that are not numbers; expected {_FORM}")
    return tuple(
        Box(*row) if row[0] < row[2] and row[1] < row[3] else None for row in rows.tolist()
    )


def _rows(path: Path) -> NDArray[np.float64]:
    """The array ``bounding_boxes``. *Shape:* ``(boxes, 4)``.

    Not by ``numpy.load``, which allots whatever memory a file asks for.
    """
    with (
        open_regular(path) as handle,
        ZipFile(handle) as archive,
        archive.open(f"{_ARRAY}.npy") as member,
    ):
        content = BytesIO(member.read(_MOST_BYTES + 1))
    if content.getbuffer().nbytes > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES} bytes")
    shape, in_columns, kind = _header(content)
    if kind.kind not in "fiu":
        raise ValueError(f"of the type {kind}")
    if len(shape) != 2 or shape[0] < 0 or shape[1] != 4:
        raise ValueError(f"of shape {shape}")
    values = np.frombuffer(content.getvalue()[content.tell() :], dtype=kind)
    return values.reshape(shape, order="F" if in_columns else "C").astype(np.float64)


def _header(content: BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type; the file is then at its values."""
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(content)
    if version not in readers:
        raise ValueError(f"version {version} of the format")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a header that numpy would have to guess at
        return readers[version](content)
