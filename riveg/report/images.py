"""Small copies of images for the page, and the addresses of the originals."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from riveg.errors import NO_IMAGE, ImageFault
from riveg.geometry.arrays import Pixels
from riveg.geometry.heat_maps import heat_array
from riveg.images.loader import ImageLoader
from riveg.types import HeatMap, ImageRef

SIDE = 560
"""Longest side of a small copy, in pixels."""

MOST_BYTES = 22_000
"""Most bytes of a small copy that can still be recognised; about 30 kB in the page."""

_QUALITIES = ((SIDE, 68), (SIDE, 50), (480, 42), (400, 32), (320, 20))
"""Longest side and WebP quality, tried in order until the copy is small enough."""

_AT_ONCE = 16
_THREADS = 2


class SmallCopies:
    """Makes the page's images, with a few of them in memory at a time.

    Args:
        roots: Image folders; the first one that has the file wins.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._images = ImageLoader(roots, cache_bytes=0)

    def of(self, images: Iterable[ImageRef | None]) -> Iterator[dict[str, Any]]:
        """For each image a ``data:`` address and the upright image's size, or what is wrong."""
        waiting = iter(images)
        with ThreadPoolExecutor(_THREADS) as pool:
            while batch := list(islice(waiting, _AT_ONCE)):
                yield from pool.map(self._of, batch)

    def _of(self, image: ImageRef | None) -> dict[str, Any]:
        if image is None:
            return {"fault": {"kind": NO_IMAGE, "message": "this post came without a picture"}}
        try:
            pixels = self._images.load(image)
        except ImageFault as fault:
            return {"fault": {"kind": fault.kind, "message": str(fault)}}
        height, width = pixels.shape[:2]
        content = base64.b64encode(small_copy(pixels)).decode()
        return {"data": f"data:image/webp;base64,{content}", "size": [width, height]}


def small_copy(pixels: Pixels) -> bytes:
    """A small WebP of an image; an image that is small enough keeps its size."""
    for side, quality in _QUALITIES:
        image = Image.fromarray(pixels)
        image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
        content = BytesIO()
        image.save(content, "WEBP", quality=quality, method=2)
        if content.tell() <= MOST_BYTES:
            break
    return content.getvalue()


def heat_address(heat: HeatMap) -> str | None:
    """A ``data:`` address of a heat map as a grey image of a pixel a patch, white where it is hot.

    ``None`` where its values are damaged.
    """
    try:
        image = Image.fromarray(heat_array(heat))
    except ValueError:
        return None
    content = BytesIO()
    image.save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def original_address(image: ImageRef | None, roots: Sequence[Path], page: Path) -> str | None:
    """The original's address relative to the page's folder; ``None`` where it is not there.

    Characters with a meaning in an address are escaped.

    >>> original_address(None, [], Path("report.html")) is None
    True
    """
    relative = Path(image.path) if image else Path()
    if image is None or not image.path or relative.is_absolute() or ".." in relative.parts:
        return None
    for root in roots:
        path = root.absolute() / relative
        if _is_file(path):
            return quote(os.fsencode(os.path.relpath(path, page.absolute().parent)))
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # A name that is too long, or contains a null character.
        return False
