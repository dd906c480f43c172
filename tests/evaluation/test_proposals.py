"""Candidate boxes in ``.npz`` files that somebody else has made, or damaged."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from riveg.errors import UserError
from riveg.evaluation.proposals import read_proposals
from riveg.types import Box

BOXES = np.array([[0, 0, 5, 5], [3, 3, 3, 9], [1, 2, 3, 4.5]])


def packed(boxes: NDArray[np.floating[Any]]) -> bytes:
    buffer = BytesIO()
    np.savez_compressed(buffer, bounding_boxes=boxes, box_features=np.zeros((3, 8)))
    return buffer.getvalue()


def of_header(header: str, values: bytes) -> bytes:
    line = header.encode() + b"\n"
    member = b"\x93NUMPY\1\0" + len(line).to_bytes(2, "little") + line + values
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bounding_boxes.npy", member)
    return buffer.getvalue()


@pytest.mark.parametrize("order", ["C", "F"])
def test_boxes_of_an_image(tmp_path: Path, order: str) -> None:
    boxes = np.asarray(BOXES, order="F" if order == "F" else "C", dtype=np.float32)
    (tmp_path / "a.jpg.npz").write_bytes(packed(boxes))
    assert read_proposals(tmp_path, "a") == (Box(0, 0, 5, 5), None, Box(1, 2, 3, 4.5))


HEADER = "{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"


@pytest.mark.parametrize(
    ("kind", "shape", "values"),
    [
        ("<f8", "(999999999999, 4)", b""),
        ("<f8", "(-1, 4)", bytes(64)),
        ("<f8", "(1, " + "(" * 3000 + ", 4)", b""),
        ("<f8", "(1, 4, 1)", bytes(32)),
        ("<c16", "(1, 4)", bytes(64)),
        ("|O", "(1, 4)", b"cos\nsystem\n"),
        ("<f8", "(4194304, 4)", bytes(4194304 * 32)),
    ],
    ids=["huge", "negative", "nested", "three sides", "complex", "pickle", "bomb"],
)
def test_a_hostile_array_is_one_line(tmp_path: Path, kind: str, shape: str, values: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(of_header(HEADER.format(kind=kind, shape=shape), values))
    with pytest.raises(UserError, match=r"a\.npz: holds no bounding_boxes") as error:
        read_proposals(tmp_path, "a")
    assert "\n" not in str(error.value)


def boxes_or_line(folder: Path) -> Sequence[object]:
    """The boxes, or the one line of what is wrong with the file."""
    try:
        return read_proposals(folder, "a")
    except UserError as error:
        return str(error).splitlines()


def test_damaged_files_give_boxes_or_one_line(tmp_path: Path) -> None:
    whole = packed(BOXES)
    for seed in range(600):
        chance = random.Random(seed)
        content = bytearray(whole[: chance.choice([len(whole), chance.randrange(1, len(whole))])])
        for _ in range(chance.randrange(4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        (tmp_path / "a.npz").write_bytes(content)
        assert len(boxes_or_line(tmp_path)) <= 3, seed
