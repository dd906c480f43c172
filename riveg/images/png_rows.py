"""Whether a PNG has all its rows: where its stream ends early, Pillow leaves the rest black."""

from __future__ import annotations

import struct
import zlib

from riveg.images.metadata import PNG, png_chunks

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Values of a pixel, by the kind of colour."""
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
           (0, 1, 1, 2))  # fmt: skip
"""First column and row, and the steps to the next ones, of each pass of an interlaced image."""


def lacks_rows(data: bytes) -> bool:
    """Whether the pixels of a PNG unpack to less than its header asks for.

    No more is unpacked than that. Data that are no PNG, or cannot be unpacked, lack nothing here:
    whoever decodes them says what is wrong.
    """
    if not data.startswith(PNG) or data[12:16] != b"IHDR" or len(data) < 33:
        return False
    width, height, bits, colour, _, _, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    missing = _size(width, height, bits * _SAMPLES.get(colour, 0), bool(interlace))
    unpacker = zlib.decompressobj()
    try:
        for chunk in png_chunks(data)[0]:
            packed = chunk[8:-4] if chunk[4:8] == b"IDAT" else b""
            while packed and missing > 0:
                missing -= len(unpacker.decompress(packed, min(missing, 1 << 20)))
                packed = unpacker.unconsumed_tail
        if missing > 0:
            missing -= len(unpacker.flush())  # the end of a long repetition
    except zlib.error:
        return False
    return missing > 0


def _size(width: int, height: int, bits: int, interlaced: bool) -> int:
    """Bytes of all rows, each with its filter's number before it."""
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    total = 0
    for left, top, right_step, down_step in passes:
        columns = max(0, -(-(width - left) // right_step))
        rows = max(0, -(-(height - top) // down_step))
        total += rows * (1 + (columns * bits + 7) // 8) if columns else 0
    return total
