"""Masks between COCO run lengths and the brush run lengths of Label Studio.

A brush is a bit stream cut into bytes, most significant bit first. It holds an image of four
channels, row by row: 32 bits for the number of values, 5 bits for the bits of a value less one, and
four times 4 bits for the bits of a length less one. Then come runs: one bit (1: one value repeated,
0: that many single values), 2 bits that choose among the four bit counts, a length less one in so
many bits, and the value or values. The fourth channel, opacity, says what belongs to the mask. (The
format is that of the package rle-pack of thi.ng/umbrella.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from riveg.geometry.masks import mask_from_array
from riveg.types import ImageSize, Mask

_CHANNELS = 4
_VALUE_BITS = 8
_LENGTH_BITS = (3, 4, 8, 16)
"""Bits of a run's length, as Label Studio itself writes them."""

_OPAQUE = 128
"""The least opacity, in [0, 255], of a pixel of the mask; the rim of a painted stroke has less."""


def mask_to_brush(mask: Mask) -> list[int]:
    """The brush of a mask, bytes in [0, 255]; holes and separate parts are kept.

    Raises:
        ValueError: If the mask's run lengths are damaged.

    >>> len(mask_to_brush(mask_from_array(np.ones((2, 3), dtype=bool))))
    9
    """
    pixels = mask.to_numpy().ravel()
    head = f"{pixels.size * _CHANNELS:032b}{_VALUE_BITS - 1:05b}"
    head += "".join(f"{size - 1:04b}" for size in _LENGTH_BITS)
    bits = head + "".join(_runs_as_bits(pixels))
    bits += "0" * (-len(bits) % 8)
    return list(int(bits, 2).to_bytes(len(bits) // 8, "big"))


def brush_to_mask(brush: Sequence[int], size: ImageSize, source: str | None = None) -> Mask:
    """The mask of a brush on an image of this size; pixels that are at least half opaque are in it.

    Raises:
        ValueError: If the brush is cut off, or is not of an image of this size.
    """
    bits = _Bits(brush)
    width, height = size
    total = height * width * _CHANNELS
    if (found := bits.read(32)) != total:
        raise ValueError(f"a brush of {found} values, expected {total} for {height}x{width}")
    value_bits = bits.read(5) + 1
    sizes = [bits.read(4) + 1 for _ in range(4)]
    values = np.empty(total, dtype=np.uint32)
    done = 0
    while done < total:
        repeated = bits.read(1)
        end = done + bits.read(sizes[bits.read(2)]) + 1
        if end > total:
            raise ValueError("a brush whose runs are longer than its picture")
        if repeated:
            values[done:end] = bits.read(value_bits)
        else:
            values[done:end] = [bits.read(value_bits) for _ in range(end - done)]
        done = end
    opacity = values.reshape(height, width, _CHANNELS)[:, :, 3]
    return mask_from_array(opacity >= _OPAQUE, source)


def _runs_as_bits(pixels: NDArray[np.bool_]) -> Iterator[str]:
    edges = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    lengths = np.diff([0, *edges, pixels.size]) * _CHANNELS
    inside = bool(pixels[0])
    for length in lengths.tolist():
        value = f"{255 * inside:08b}"
        for part in _parts(length):
            choice = next(at for at, size in enumerate(_LENGTH_BITS) if part <= 1 << size)
            yield f"1{choice:02b}{part - 1:0{_LENGTH_BITS[choice]}b}{value}"
        inside = not inside


def _parts(length: int) -> Iterator[int]:
    """A run's length in pieces of at most the longest length that can be written."""
    longest = 1 << _LENGTH_BITS[-1]
    yield from (longest for _ in range(length // longest))
    if length % longest:
        yield length % longest


class _Bits:
    """Reads unsigned numbers from bytes, most significant bit first."""

    def __init__(self, data: Sequence[int]) -> None:
        try:
            content = bytes(data)
        except (TypeError, ValueError) as error:
            raise ValueError(f"a brush is a list of bytes, 0 to 255 ({error})") from error
        self._bits = f"{int.from_bytes(content, 'big'):0{8 * len(content)}b}" if content else ""
        self._done = 0

    def read(self, count: int) -> int:
        start, self._done = self._done, self._done + count
        if self._done > len(self._bits):
            raise ValueError("a brush that is cut off")
        return int(self._bits[start : self._done], 2)
