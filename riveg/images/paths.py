r"""Image paths as people write them, and the file that is meant.

Where no file has exactly the given path, other ways to write the same path are tried: blanks around
it, backslashes between folders (Windows), and the other Unicode normal form (macOS and zip archives
store ``é`` as two characters). Upper and lower case, or another ending, may mean another image:
they are only mentioned.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath

_FOLDERS_KEPT = 16
"""Listings of folders that are kept in memory."""

_ADDRESSES = ("http://", "https://", "data:")


def spelling_on_disk(roots: Sequence[Path], name: str) -> str | None:
    r"""The path below one of ``roots`` at which the image of that name lies.

    Args:
        roots: Image folders; the first one that has the path wins. A path that is there as it is
            written is preferred to every other way to write it.
        name: A relative path, as the data has it.

    Returns:
        ``None`` where there is no such file, or the path leads out of the folders.
    """
    for written in _ways_to_write(name):
        if leads_out(written) or not written:
            continue
        for root in roots:
            # Only the path as it is written may be that of a folder, for the loader to say so.
            if _exists(root / written) and (written == name or (root / written).is_file()):
                return written
        for root in roots:
            listed = None if written.isascii() else _as_listed(root, written)
            if listed is not None:
                return listed
    return None


def leads_out(name: str) -> bool:
    r"""Whether a path is absolute or goes up, on any system.

    >>> leads_out("a/b.jpg"), leads_out("..\\b.jpg"), leads_out("C:\\b.jpg")
    (False, True, True)
    """
    ways = (PurePosixPath(name), PureWindowsPath(name))
    return any(way.anchor or ".." in way.parts for way in ways)


def advice(roots: Sequence[Path], name: str) -> str:
    """What to say of an image that is not there: what the name may mean; empty for nothing."""
    written = name.strip().replace("\\", "/")
    if written.lower().startswith(_ADDRESSES):
        return "; it is an address: download the picture and give its path"
    if PureWindowsPath(name).drive or written.lower().startswith("file:"):
        return "; expected a path below the picture folder"
    if leads_out(written):
        return ""
    folder, last = os.path.split(written)
    for root in roots:
        near = _listing(root / folder).near(last)
        if near is not None:
            return f"; there is {os.path.join(folder, near)!r}"  # noqa: PTH118 - not normalised
    return ""


def _ways_to_write(name: str) -> Iterator[str]:
    yield name
    if "\\" in name:
        yield name.replace("\\", "/")
    if name != name.strip():
        yield name.strip().replace("\\", "/")


def _as_listed(root: Path, name: str) -> str | None:
    """The path with each part as its folder lists it, compared in one Unicode normal form."""
    folder = root
    parts: list[str] = []
    for part in PurePosixPath(name).parts:
        found = part if _exists(folder / part) else _listing(folder).composed.get(_composed(part))
        if found is None:
            return None
        parts.append(found)
        folder /= found
    return "/".join(parts)


@dataclass(frozen=True, slots=True)
class _Listing:
    """Names in a folder, by their composed form, without case, and without case and ending."""

    composed: Mapping[str, str] = field(default_factory=dict)
    folded: Mapping[str, str] = field(default_factory=dict)
    stems: Mapping[str, str] = field(default_factory=dict)

    def near(self, wanted: str) -> str | None:
        """The name that differs in case or ending only."""
        folded = _composed(wanted).casefold()
        stems = (folded, PurePosixPath(folded).stem)
        return self.folded.get(folded) or next(filter(None, map(self.stems.get, stems)), None)


def _listing(folder: Path) -> _Listing:
    """The names in a folder; none where it cannot be listed."""
    try:
        return _listed(folder, folder.stat().st_mtime_ns)
    except (OSError, ValueError):
        return _Listing()


@lru_cache(maxsize=_FOLDERS_KEPT)
def _listed(folder: Path, _changed_ns: int) -> _Listing:
    names = sorted(os.listdir(folder))  # noqa: PTH208 - names are all that is wanted
    composed = {_composed(name): name for name in names}
    folded = {name.casefold(): own for name, own in composed.items()}
    stems = {PurePosixPath(name).stem: own for name, own in folded.items()}
    return _Listing(composed, folded, stems)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or holds a null character
        return False
