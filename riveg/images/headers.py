"""What the first bytes of an image file say: its format, its sides, and whether it may be decoded.

Pillow's plugins are called directly and not through ``Image.open``: so the sides are compared with
riveg's own limits before Pillow's bomb check can warn, and no global of Pillow is touched.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from riveg.errors import ImageFault
from riveg.types import ImageSize


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What an image may measure; all bounds are inclusive.

    ``max_pixels`` should stay below Pillow's own bomb limit (89 million), which would warn.
    """

    max_pixels: int = 50_000_000
    max_side: int = 20_000
    min_side: int = 2
    max_bytes: int = 64 * 1024 * 1024


HEAD_BYTES = 1024
"""How much of a file :func:`image_plugin` looks at."""

_PLUGINS: tuple[tuple[bytes, Callable[[IO[bytes]], ImageFile]], ...] = (
    (b"\xff\xd8\xff", JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"GIF87a", GifImageFile),
    (b"GIF89a", GifImageFile),
    (b"II*\0", TiffImageFile),
    (b"MM\0*", TiffImageFile),
)

_BMP_HEADER_BYTES = frozenset({12, 40, 52, 56, 64, 108, 124})

_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "PDF"),
    (b"8BPS", "PSD"),
    (b"\0\0\1\0", "ICO"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"II+\0", "BigTIFF"),
    (b"MM\0+", "BigTIFF"),
    (b"P5", "PGM"),
    (b"P6", "PPM"),
)
"""Formats that are refused by their names."""


def image_plugin(head: bytes, shown: str) -> Callable[[IO[bytes]], ImageFile]:
    """Pillow's reader of the format that the first bytes show; the file's suffix does not matter.

    Args:
        head: The first :data:`HEAD_BYTES` of the file, or all of a shorter one.
        shown: The file's name for messages.

    Raises:
        ImageFault: ``unsupported-format`` or ``not-an-image``.
    """
    for magic, plugin in _PLUGINS:
        if head.startswith(magic):
            return plugin
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WebPImageFile
    # "BM" alone is also the beginning of texts.
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_BYTES:
        return BmpImageFile
    if foreign := _foreign_format(head):
        raise ImageFault(
            "unsupported-format",
            f"{shown}: {foreign} is not read; use JPEG, PNG, WEBP, GIF, BMP or TIFF",
        )
    what = "is no picture riveg knows" if head else "is empty"
    raise ImageFault("not-an-image", f"{shown}: {what}")


def _foreign_format(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        return "AVIF" if head[8:12] in {b"avif", b"avis"} else "HEIC or another ISO media file"
    if b"<svg" in head.lower():
        return "SVG"
    return next((name for magic, name in _FOREIGN if head.startswith(magic)), None)


def gif_size(handle: IO[bytes]) -> ImageSize:
    """The size that Pillow will give a GIF: its screen, enlarged to hold the first frame.

    Pillow enlarges the screen while it opens the file, and would warn of a bomb there.

    Raises:
        struct.error: If the file ends too early.
    """
    handle.seek(6)
    width, height, flags = struct.unpack("<HHBxx", handle.read(7))
    handle.seek((3 << (flags & 7) + 1) if flags & 0x80 else 0, 1)
    while (code := handle.read(1)) not in {b",", b";", b""}:
        if code == b"!":
            handle.seek(1, 1)
            while size := handle.read(1):
                if size == b"\0":
                    break
                handle.seek(size[0], 1)
    if code != b",":
        return ImageSize(width, height)
    left, top, frame_width, frame_height = struct.unpack("<HHHH", handle.read(8))
    return ImageSize(max(width, left + frame_width), max(height, top + frame_height))


def check_sides(size: ImageSize, shown: str, limits: ImageLimits) -> None:
    """Makes sure that an image of this size may be decoded.

    Raises:
        ImageFault: ``too-large`` or ``too-small``.
    """
    width, height = size
    found = f"{shown}: {width} x {height} pixels"
    if max(size) > limits.max_side:
        raise ImageFault("too-large", f"{found}, the longest side allowed is {limits.max_side}")
    if width * height > limits.max_pixels:
        raise ImageFault("too-large", f"{found}, the limit is {limits.max_pixels} in all")
    if min(size) < limits.min_side:
        raise ImageFault("too-small", f"{found}, the shortest side allowed is {limits.min_side}")
