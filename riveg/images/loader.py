"""The one way an image is read: below its root, within limits, upright, in RGB."""

from __future__ import annotations

import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from riveg.errors import ImageFault
from riveg.files import open_regular, read_regular
from riveg.geometry.arrays import Pixels
from riveg.images.decoding import decode, is_turned
from riveg.images.headers import ImageLimits
from riveg.images.paths import advice, spelling_on_disk
from riveg.stores.files import bring
from riveg.types import ImageRef

_LIMITS = ImageLimits()


class ImageLoader:
    """Loads images that lie below one of ``roots``; may be shared by threads.

    Args:
        roots: Image folders; the first one that has the file wins.
        limits: Bounds that are checked before any pixel is decoded.
        cache_bytes: How many bytes of decoded images are kept for later calls.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        *,
        limits: ImageLimits = _LIMITS,
        cache_bytes: int = 32 * 1024 * 1024,
    ) -> None:
        self._roots = tuple(Path(root) for root in roots)
        self._limits = limits
        self._recent = _RecentImages(cache_bytes)

    def __reduce__(self) -> tuple[Callable[..., ImageLoader], tuple[object, ...]]:
        """For another process: the same folders and limits, without the cached images."""
        return partial(ImageLoader, limits=self._limits, cache_bytes=0), (self._roots,)

    def load(self, image: ImageRef) -> Pixels:
        """The upright image; the array is read-only.

        Transparent pixels become white, 16 bits are scaled to 8, an animation gives its first
        frame.

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
        """The reference with the size of the upright image; decodes all of it, to find damage.

        Raises:
            ImageFault: As :meth:`load`.
        """
        height, width = self.load(image).shape[:2]
        return ImageRef(image.path, width=width, height=height)

    def is_turned(self, image: ImageRef) -> bool:
        """Whether the image, which was loaded, is upright only for programs that heed its EXIF.

        Raises:
            ImageFault: ``missing-image`` or ``outside-root``.
        """
        return is_turned(read_regular(self.locate(image.path)), _shown(image.path))

    def stamp(self, image: ImageRef) -> str:
        """Size and modification time of the file; empty where no file can be used."""
        try:
            status = self.locate(image.path).stat()
        except (ImageFault, OSError):
            return ""
        return f"{status.st_size}-{status.st_mtime_ns}"

    def locate(self, name: str) -> Path:
        """The regular file at an image's path, links resolved; nothing is opened.

        Where there is none, other ways to write the path are tried (:mod:`riveg.images.paths`).

        Raises:
            ImageFault: ``missing-image`` or ``outside-root``.
        """
        if not name or "\0" in name:
            raise ImageFault("missing-image", f"{_shown(name)} names no file")
        relative = Path(name)
        if relative.anchor or ".." in relative.parts:
            raise ImageFault(
                "outside-root",
                f"{_shown(name)}: expected a path below the picture folder; "
                "give that folder with --images, and the path from there",
            )
        path = self._find(relative)
        if path is None:
            written = spelling_on_disk(self._roots, name)
            path = None if written is None else self._find(Path(written))
        if path is not None:
            return path
        where = ", ".join(map(str, self._roots)) or "no picture folder is given"
        hint = advice(self._roots, name)
        raise ImageFault(
            "missing-image", f"{_shown(name)}: no such file (looked in: {where}){hint}"
        )

    def _find(self, relative: Path) -> Path | None:
        return next(filter(None, (_resolve(root, relative) for root in self._roots)), None)


def _resolve(root: Path, relative: Path) -> Path | None:
    """The resolved regular file, or ``None`` where this root has no such name."""
    shown = _shown(str(relative))
    try:
        path = _there(root / relative).resolve(strict=True)
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


def _there(path: Path) -> Path:
    if not path.exists():
        bring(path)
    return path


def _read(path: Path, shown: str, limits: ImageLimits) -> Pixels:
    try:
        handle = open_regular(path)
    except OSError as error:
        raise ImageFault(
            "missing-image", f"{shown}: cannot be opened ({error.strerror})"
        ) from error
    with handle:
        return decode(handle, shown, limits)


class _RecentImages:
    """The last decoded images, up to a number of bytes; the least recently used are dropped."""

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
    """A file name for a message: in quotes, control characters escaped, at most 200 characters."""
    text = ascii(name) if not name.isprintable() else repr(name)
    return text if len(text) <= 200 else f"{text[:200]}..."
