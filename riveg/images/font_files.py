"""Font files on this machine, and which characters each of them has."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from riveg.errors import UserError
from riveg.files import open_regular

_SUFFIXES = frozenset({".ttf", ".otf", ".ttc", ".otc"})
_LARGEST_MAP = 4 << 20
"""Bytes; the largest maps of characters, of all Han, have half a megabyte."""

_UNLIKE_PLAIN = (
    ("bold", "italic", "oblique", "black", "heavy", "emoji", "lastresort"),
    ("thin", "light", "medium", "demi", "unifont"),
    ("condensed", "narrow", "mono", "serif", "math", "display", "ui"),
)
"""Words in the names of fonts that are taken only where no plain one has the character."""


@dataclass(frozen=True, slots=True)
class FontFile:
    """A font with outlines.

    Args:
        path: The file; of a collection its first font is used.
        starts: First code points of the ranges that it has, ascending.
        ends: Their last code points.
    """

    path: Path
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def has(self, character: str) -> bool:
        """Whether its map of characters names this one."""
        place = bisect_right(self.starts, ord(character)) - 1
        return place >= 0 and ord(character) <= self.ends[place]


@lru_cache(maxsize=1)
def machine_fonts() -> tuple[FontFile, ...]:
    """The fonts on this machine, plain ones first; read once, when they are first needed."""
    paths = sorted({*_listed(), *_in_folders()}, key=_preference)
    fonts = (_read(path) for path in paths)
    return tuple(font for font in fonts if font is not None)


def open_font(path: Path) -> FontFile:
    """A font that the user names.

    Raises:
        UserError: If the file is not there or is no font with outlines.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such font file")
    font = _read(path)
    if font is None:
        raise UserError(f"{path}: is no TrueType or OpenType font (.ttf, .otf, .ttc)")
    return font


def _preference(path: Path) -> tuple[int, bool, str]:
    name = path.stem.lower().replace("-", "").replace(" ", "")
    unlike = sum(
        3 ** (len(_UNLIKE_PLAIN) - weight)
        for weight, words in enumerate(_UNLIKE_PLAIN)
        if any(word in name for word in words)
    )
    return unlike, not name.startswith(("dejavusans", "notosans", "arial", "segoe")), str(path)


def _listed() -> Iterator[Path]:
    """What fontconfig knows, where it is installed."""
    program = shutil.which("fc-list")
    if program is None:
        return
    try:
        listing = subprocess.run(
            [program, "--format", "%{file}\n"], capture_output=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return
    for line in os.fsdecode(listing.stdout).splitlines():
        if Path(line).suffix.lower() in _SUFFIXES:
            yield Path(line)


def _in_folders() -> Iterator[Path]:
    for folder in _folders(os.environ):
        for where, _, names in os.walk(folder):
            for name in names:
                if Path(name).suffix.lower() in _SUFFIXES:
                    yield Path(where) / name


def _folders(environment: Mapping[str, str]) -> Iterable[Path]:
    home = Path.home()
    matplotlib = find_spec("matplotlib")
    if matplotlib is not None and matplotlib.origin is not None:
        yield Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf"
    if sys.platform == "win32":
        yield Path(environment.get("WINDIR", "C:/Windows")) / "Fonts"
        yield home / "AppData/Local/Microsoft/Windows/Fonts"
    elif sys.platform == "darwin":
        yield from (Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts")
    else:
        yield from (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
        yield from (home / ".fonts", home / ".local/share/fonts")


def _read(path: Path) -> FontFile | None:
    """The font; ``None`` where it cannot be read, has no outlines or no map of Unicode."""
    try:
        with open_regular(path) as handle:
            start = 0
            if handle.read(4) == b"ttcf":
                handle.seek(12)
                (start,) = struct.unpack(">I", handle.read(4))
            handle.seek(start)
            tables = _tables(handle.read(12 + 16 * 64))
            place = tables.get(b"cmap")
            if place is None or not tables.keys() & {b"glyf", b"CFF ", b"CFF2"}:
                return None
            handle.seek(place[0])
            ranges = sorted(_ranges(handle.read(min(place[1], _LARGEST_MAP))))
    except (OSError, struct.error, ValueError):
        return None
    if not ranges:
        return None
    return FontFile(path, tuple(first for first, _ in ranges), tuple(last for _, last in ranges))


def _tables(head: bytes) -> dict[bytes, tuple[int, int]]:
    """Offset and length of each table of a font."""
    version, count = struct.unpack_from(">4sH", head)
    if version not in {b"\x00\x01\x00\x00", b"OTTO", b"true"} or count > 64:
        raise ValueError("no font")
    records = (struct.unpack_from(">4sIII", head, 12 + 16 * place) for place in range(count))
    return {tag: (offset, length) for tag, _, offset, length in records}


def _ranges(table: bytes) -> Iterator[tuple[int, int]]:
    """The ranges of code points that a font's map names (OpenType, table ``cmap``)."""
    (count,) = struct.unpack_from(">H", table, 2)
    subtables = {}
    for place in range(count):
        platform, encoding, offset = struct.unpack_from(">HHI", table, 4 + 8 * place)
        (form,) = struct.unpack_from(">H", table, offset)
        if (platform == 0 or (platform == 3 and encoding in {1, 10})) and form in {4, 12}:
            subtables[form] = offset
    if 12 in subtables:
        yield from _long_ranges(table, subtables[12])
    elif 4 in subtables:
        yield from _short_ranges(table, subtables[4])


def _long_ranges(table: bytes, offset: int) -> Iterator[tuple[int, int]]:
    (count,) = struct.unpack_from(">I", table, offset + 12)
    for first, last, _ in struct.iter_unpack(">III", table[offset + 16 : offset + 16 + 12 * count]):
        yield first, last


def _short_ranges(table: bytes, offset: int) -> Iterator[tuple[int, int]]:
    (twice,) = struct.unpack_from(">H", table, offset + 6)
    lasts = struct.unpack_from(f">{twice // 2}H", table, offset + 14)
    firsts = struct.unpack_from(f">{twice // 2}H", table, offset + 16 + twice)
    yield from (pair for pair in zip(firsts, lasts, strict=True) if pair[1] != 0xFFFF)
