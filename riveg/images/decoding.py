"""From the bytes of an image file to upright RGB pixels."""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import IO

import numpy as np
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile

from riveg.errors import ImageFault
from riveg.geometry.arrays import Pixels
from riveg.images.headers import HEAD_BYTES, ImageLimits, check_sides, gif_size, image_plugin
from riveg.images.metadata import without_metadata
from riveg.images.png_rows import lacks_rows
from riveg.types import ImageSize

# What is wrong with EXIF changes nothing but the turn: a warning would only stain the screen.
warnings.filterwarnings("ignore", message="Corrupt EXIF data", module="PIL.TiffImagePlugin")


def decode(handle: IO[bytes], shown: str, limits: ImageLimits) -> Pixels:
    """The upright image; the array is read-only.

    Args:
        handle: The file, at its start.
        shown: The file's name for messages.
        limits: Checked before any pixel is decoded.

    Raises:
        ImageFault: ``not-an-image``, ``unsupported-format``, ``too-large``, ``too-small`` or
            ``truncated-image``.
    """
    plugin = image_plugin(handle.read(HEAD_BYTES), shown)
    try:
        if plugin is GifImageFile:
            check_sides(gif_size(handle), shown, limits)
        handle.seek(0)
        data = without_metadata(handle.read())
        with plugin(BytesIO(data)) as image:
            check_sides(ImageSize(*image.size), shown, limits)
            image.load()
            if lacks_rows(data):
                raise ImageFault("truncated-image", f"{shown}: truncated (rows are missing)")
            flat = _to_rgb(image, shown)
            # Read after decoding: a PNG may have its EXIF behind the pixels, and a TIFF is upright
            # by then, Pillow having turned it and dropped the tag.
            turn = _TURNS.get(_orientation(image))
    except ImageFault:
        raise
    except Exception as error:  # on hostile bytes a decoder may raise nearly anything
        raise ImageFault(
            "truncated-image", f"{shown}: truncated or damaged ({type(error).__name__}: {error})"
        ) from error
    upright = flat.transpose(turn) if turn is not None else flat
    pixels = np.array(upright, dtype=np.uint8, order="C")
    pixels.setflags(write=False)
    return pixels


def is_turned(data: bytes, shown: str) -> bool:
    """Whether an image is upright only for programs that heed its EXIF.

    Args:
        data: The file's bytes, which :func:`decode` has decoded.
        shown: The file's name for messages.
    """
    with image_plugin(data[:HEAD_BYTES], shown)(BytesIO(without_metadata(data))) as image:
        image.load()  # as in decode
        return _orientation(image) in _TURNS


def _to_rgb(image: ImageFile, shown: str) -> Image.Image:
    """RGB of 8 bits; transparent pixels become white."""
    if image.mode.startswith("I;16"):
        return _from_sixteen_bits(image)
    if image.mode in {"I", "F", "LAB"}:
        raise ImageFault("unsupported-format", f"{shown}: colour mode {image.mode} is not read")
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.info.get("transparency")
    if isinstance(clear, tuple) and max(clear) > 255:
        # A 16-bit colour key: Pillow has reduced the pixels to their high bytes, but not the key.
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    layer = image.convert("RGBA")
    paper = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(paper, layer).convert("RGB")


def _from_sixteen_bits(image: ImageFile) -> Image.Image:
    """Grey of 16 bits scaled to 8, not clipped as ``convert`` does."""
    deep = np.asarray(image).astype(np.uint32)
    grey = ((deep + 128) // 257).astype(np.uint8)
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey[deep == clear] = 255
    return Image.fromarray(grey).convert("RGB")


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> the turn that makes the image upright."""


def _orientation(image: ImageFile) -> int:
    """The EXIF orientation, 1 where there is none or it cannot be read."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # an image with damaged metadata can still be used
        return 1
