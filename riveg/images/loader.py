"""The one way an image is read: below its root, checked by its header, upright, in RGB.

Pillow's plugins are called directly and not through ``Image.open``: so the sides are compared with
riveg's own limits before Pillow's bomb check can warn, and no global of Pillow is touched.
"""

from __future__ import annotations

import stat
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from riveg.errors import ImageFault
from riveg.geometry.arrays import Pixels
from riveg.types import ImageRef


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What an image may measure; all bounds are inclusive.

    ``max_pixels`` should stay below Pillow's own bomb limit (89 million), which would warn.
    """

    max_pixels: int = 50_000_000
    max_side: int = 20_000
    min_side: int = 2
    max_bytes: int = 64 * 1024 * 1024


class ImageLoader:
    """Loads images that lie below one of ``roots``; may be shared by threads.

    Args:
        roots: Image folders; the first one that has the file wins.
        limits: Bounds that are checked before any pixel is decoded.
        cache_bytes: How many bytes of decoded images are kept for the next call.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        *,
        limits: ImageLimits = ImageLimits(),
        cache_bytes: int = 32 * 1024 * 1024,
    ) -> None:
        self._roots = tuple(Path(root) for root in roots)
        self._limits = limits
        self._recent = _RecentImages(cache_bytes)

    def __reduce__(self) -> tuple[Callable[..., ImageLoader], tuple[object, ...]]:
        """For another process: the same folders and limits, without the images kept."""
        return partial(ImageLoader, limits=self._limits, cache_bytes=0), (self._roots,)

    def load(self, image: ImageRef) -> Pixels:
        """The upright image, RGB, *shape* ``(height, width, 3)``; the array is read-only.

        Alpha is laid over white, 16 bits are scaled to 8, an animation gives its first frame.

        Raises:
            ImageFault: With kind ``missing-image``, ``outside-root``, ``not-an-image``,
                ``unsupported-format``, ``too-large``, ``too-small`` or ``truncated-image``.
        """
        path = self.locate(image.path)
        status = path.stat()
        if status.st_size > self._limits.max_bytes:
            raise ImageFault(
                "too-large",
                f"{_shown(image.path)}: {status.st_size} bytes, "
                f"the limit is {self._limits.max_bytes}",
            )
        key = (path, status.st_mtime_ns, status.st_size)
        pixels = self._recent.get(key)
        if pixels is None:
            pixels = _read(path, _shown(image.path), self._limits)
            self._recent.put(key, pixels)
        return pixels

    def probe(self, image: ImageRef) -> ImageRef:
        """The same reference with the upright sides; decodes wholly, so that damage shows here.

        Raises:
            ImageFault: As :meth:`load`.
        """
        height, width = self.load(image).shape[:2]
        return ImageRef(image.path, width=width, height=height)

    def stamp(self, image: ImageRef) -> str:
        """Size and time of change of the file; empty where there is none to be used."""
        try:
            status = self.locate(image.path).stat()
        except (ImageFault, OSError):
            return ""
        return f"{status.st_size}-{status.st_mtime_ns}"

    def locate(self, name: str) -> Path:
        """The regular file that an image's path means, links resolved; nothing is opened.

        Raises:
            ImageFault: ``missing-image`` or ``outside-root``.
        """
        if not name or "\0" in name:
            raise ImageFault("missing-image", f"{_shown(name)} names no file")
        relative = Path(name)
        if relative.anchor or ".." in relative.parts:
            raise ImageFault(
                "outside-root", f"{_shown(name)}: expected a path below the picture folder"
            )
        for root in self._roots:
            path = _resolve(root, relative)
            if path is not None:
                return path
        where = ", ".join(map(str, self._roots)) or "no picture folder is given"
        raise ImageFault("missing-image", f"{_shown(name)}: no such file (looked in: {where})")


def _resolve(root: Path, relative: Path) -> Path | None:
    """The resolved regular file, or ``None`` where this root has nothing of that name."""
    shown = _shown(str(relative))
    try:
        path = (root / relative).resolve(strict=True)
        mode = path.stat().st_mode
        home = root.resolve()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RuntimeError) as error:  # too long, link loop, not encodable
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ImageFault("missing-image", f"{shown}: cannot be reached ({reason})") from error
    if not path.is_relative_to(home):
        raise ImageFault("outside-root", f"{shown}: a link that leads out of {root}")
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise ImageFault("not-an-image", f"{shown}: is {what}")
    return path


def _read(path: Path, shown: str, limits: ImageLimits) -> Pixels:
    try:
        handle = path.open("rb")
    except OSError as error:
        raise ImageFault(
            "missing-image", f"{shown}: cannot be opened ({error.strerror})"
        ) from error
    with handle:
        return _decode(handle, shown, limits)


def _decode(handle: IO[bytes], shown: str, limits: ImageLimits) -> Pixels:
    plugin = _plugin(handle.read(_HEAD_BYTES), shown)
    try:
        if plugin is GifImageFile:
            _check_sides(_gif_extent(handle), shown, limits)
        handle.seek(0)
        with plugin(handle) as image:
            _check_sides(image.size, shown, limits)
            image.load()
            flat = _to_rgb(image, shown)
            # Asked after decoding: a PNG may carry EXIF behind its pixels, and Pillow has then
            # turned a TIFF already and forgotten the tag.
            turn = _TURNS.get(_orientation(image))
    except ImageFault:
        raise
    except Exception as error:  # a decoder fed hostile bytes may raise nearly anything
        raise ImageFault(
            "truncated-image", f"{shown}: truncated or damaged ({type(error).__name__}: {error})"
        ) from error
    upright = flat.transpose(turn) if turn is not None else flat
    pixels = np.array(upright, dtype=np.uint8, order="C")
    pixels.setflags(write=False)
    return pixels


_HEAD_BYTES = 1024

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
"""Formats that are worth a name when they are refused."""


def _plugin(head: bytes, shown: str) -> Callable[[IO[bytes]], ImageFile]:
    """The reader of the format that the first bytes show; the file's extension is not asked."""
    for magic, plugin in _PLUGINS:
        if head.startswith(magic):
            return plugin
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WebPImageFile
    # "BM" alone also begins many a text.
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


def _gif_extent(handle: IO[bytes]) -> tuple[int, int]:
    """Sides that Pillow will give a GIF: its screen, grown to hold the first frame.

    Pillow grows it while it opens the file, and would warn of a bomb by itself there.
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
        return width, height
    left, top, frame_width, frame_height = struct.unpack("<HHHH", handle.read(8))
    return max(width, left + frame_width), max(height, top + frame_height)


def _check_sides(size: tuple[int, int], shown: str, limits: ImageLimits) -> None:
    width, height = size
    found = f"{shown}: {width} x {height} pixels"
    if max(size) > limits.max_side:
        raise ImageFault("too-large", f"{found}, the longest side allowed is {limits.max_side}")
    if width * height > limits.max_pixels:
        raise ImageFault("too-large", f"{found}, the limit is {limits.max_pixels} in all")
    if min(size) < limits.min_side:
        raise ImageFault("too-small", f"{found}, the shortest side allowed is {limits.min_side}")


def _to_rgb(image: ImageFile, shown: str) -> Image.Image:
    """Eight-bit RGB; what is transparent becomes white."""
    if image.mode.startswith("I;16"):
        return _from_sixteen_bits(image)
    if image.mode in {"I", "F", "LAB"}:
        raise ImageFault("unsupported-format", f"{shown}: colour mode {image.mode} is not read")
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.info.get("transparency")
    if isinstance(clear, tuple) and max(clear) > 255:
        # A 16-bit colour key; Pillow has halved the pixels to their high bytes, not the key.
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
"""EXIF orientation -> what makes the image upright."""


def _orientation(image: ImageFile) -> int:
    """The EXIF orientation, 1 where there is none or it cannot be read."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # damaged metadata must not cost the image
        return 1


class _RecentImages:
    """The last decoded images up to a number of bytes, least recently used thrown out first."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._images: OrderedDict[tuple[Path, int, int], Pixels] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[Path, int, int]) -> Pixels | None:
        with self._lock:
            if key in self._images:
                self._images.move_to_end(key)
            return self._images.get(key)

    def put(self, key: tuple[Path, int, int], pixels: Pixels) -> None:
        with self._lock:
            if key in self._images or pixels.nbytes > self._most_bytes:
                return
            self._images[key] = pixels
            self._bytes += pixels.nbytes
            while self._bytes > self._most_bytes:
                _, dropped = self._images.popitem(last=False)
                self._bytes -= dropped.nbytes


def _shown(name: str) -> str:
    """A row's file name, fit for a message: control characters escaped, not endless."""
    text = ascii(name) if not name.isprintable() else repr(name)
    return text if len(text) <= 200 else f"{text[:200]}..."
