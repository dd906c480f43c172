"""Files written whole or not at all, files that travel with riveg, and digests."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from riveg.errors import UserError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_TEMPORARY = ".partial"


def write_atomically(path: Path, chunks: Iterable[bytes]) -> None:
    """Writes to a temporary name, syncs, renames: the file is whole or it is the old one.

    Raises:
        UserError: If the disk is full, or a quota or file-size limit is met, or no file is named.
    """
    if not path.name:
        raise UserError(f"{path}: expected the name of a file to write")
    temporary = path.with_name(path.name + _TEMPORARY)
    try:
        with temporary.open("wb") as handle:
            handle.writelines(chunks)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno in _NO_SPACE:
            raise UserError(
                f"{path}: cannot be written ({error.strerror}); make room, then give the same "
                "command again: it goes on where it stopped"
            ) from error
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_PACKAGE = Path(__file__).resolve().parent

_SHIPPED = _PACKAGE / "shipped"
"""Only in an installed wheel; a checkout has the folders beside the package."""


def shipped(*parts: str) -> Path:
    """A path below the shipped ``prompts``, ``configs`` or ``data`` folder."""
    root = _SHIPPED if _SHIPPED.is_dir() else _PACKAGE.parent
    return root.joinpath(*parts)


def asset(*parts: str) -> Path:
    """A path below the folder of shipped models."""
    return _PACKAGE.joinpath("assets", *parts)


def file_digest(path: Path) -> str:
    """Hex digest of a file's bytes, read in blocks."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "blake2b").hexdigest()[:32]


def text_digest(text: str) -> str:
    """Hex digest of a text's UTF-8 bytes."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def numbered_name(number: int, name: str, ending: str) -> str:
    """A file name that no name of a sample can lead out of its folder or make collide.

    >>> numbered_name(3, "../../etc/passwd", ".png")
    '00003-etc-passwd.png'
    """
    words = "-".join(re.findall(r"\w+", name))
    # A file system counts bytes, not characters: 255 at most.
    return f"{number:05d}-{words.encode()[:80].decode(errors='ignore')}{ending}"
