"""Files written whole or not at all, files shipped with riveg, digests, and file names."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO, TextIOWrapper
from pathlib import Path
from threading import get_ident
from typing import IO

from riveg.errors import UserError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def replacing(path: Path, *, is_shared: bool = False) -> Iterator[Path]:
    """A temporary path beside ``path``: the file written there replaces ``path`` at the end.

    It is synced to disk first, so ``path`` is always the whole new file or the old one. If the
    block raises, the temporary file is removed and ``path`` stays as it is.

    Args:
        path: The file to replace.
        is_shared: Whether others may write the same file at the same time: then each writer has a
            temporary name of its own. Otherwise the name is always the same, so what a killed
            process left behind is overwritten and not added to.

    Raises:
        OSError: If the file cannot be written, synced or renamed.
    """
    owner = f".{os.getpid()}-{get_ident()}" if is_shared else ""
    temporary = path.with_name(f"{path.name}{owner}.partial")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, chunks: Iterable[bytes]) -> None:
    """Writes a whole file, or leaves the old one as it is.

    Raises:
        UserError: If the disk is full, or a quota or file-size limit is met, or no file is named.
    """
    if not path.name:
        raise UserError(f"{path}: expected the name of a file to write")
    try:
        with replacing(path) as temporary, temporary.open("wb") as handle:
            handle.writelines(chunks)
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise UserError(
                f"{path}: cannot be written ({error.strerror}); make room, then give the same "
                "command again: it goes on where it stopped"
            ) from error
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_PACKAGE = Path(__file__).resolve().parent

_SHIPPED = _PACKAGE / "shipped"
"""Only an installed wheel has it; a checkout has the folders beside the package."""


def shipped(*parts: str) -> Path:
    """A path below the shipped ``prompts``, ``configs`` or ``data`` folder."""
    root = _SHIPPED if _SHIPPED.is_dir() else _PACKAGE.parent
    return root.joinpath(*parts)


def asset(*parts: str) -> Path:
    """A path below the folder of shipped models."""
    return _PACKAGE.joinpath("assets", *parts)


MOST_BYTES = 1 << 28
"""How large a file may be that is read whole."""


def open_regular(path: Path) -> IO[bytes]:
    """A file opened for reading, unless it is a folder, a pipe or a device, which might never end.

    Raises:
        OSError: If it cannot be opened, or is none.
    """
    # A pipe without a writer would wait for one, and to open a device may already do something.
    _require_regular(path.stat().st_mode, path)
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    handle = os.fdopen(descriptor, "rb")
    try:
        _require_regular(os.fstat(descriptor).st_mode, path)
    except OSError:
        handle.close()
        raise
    return handle


def _require_regular(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "no regular file", str(path))


def read_regular(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """What a regular file holds.

    Raises:
        OSError: If it cannot be read, is no regular file, or is larger than ``most_bytes``.
    """
    with open_regular(path) as handle:
        if os.fstat(handle.fileno()).st_size > most_bytes:
            raise OSError(errno.EFBIG, f"larger than {most_bytes} bytes", str(path))
        return handle.read()


def read_regular_text(path: Path, encoding: str = "utf-8") -> str:
    """The text of a regular file; every line ends with LF.

    Raises:
        OSError: If it cannot be read, is no regular file, or is larger than :data:`MOST_BYTES`.
        UnicodeDecodeError: If it is of another encoding.
    """
    return TextIOWrapper(BytesIO(read_regular(path)), encoding=encoding).read()


def file_digest(path: Path) -> str:
    """Hex digest of a file's bytes, read in blocks.

    Raises:
        OSError: If it cannot be read, or is no regular file.
    """
    with open_regular(path) as handle:
        return digest_of(handle)


def digest_of(handle: IO[bytes]) -> str:
    """Hex digest of the bytes of an open file from its place to its end, read in blocks."""
    # A file opened for reading in binary is what file_digest asks for, whatever its class.
    return hashlib.file_digest(handle, "blake2b").hexdigest()[:32]  # type: ignore[arg-type]


def text_digest(text: str) -> str:
    """Hex digest of a text's UTF-8 bytes."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def numbered_name(number: int, name: str, ending: str) -> str:
    """A file name that stays inside its folder and is unique, whatever the sample is called.

    >>> numbered_name(3, "../../etc/passwd", ".png")
    '00003-etc-passwd.png'
    """
    words = "-".join(re.findall(r"\w+", name))
    # A file system counts bytes, not characters: 255 at most.
    return f"{number:05d}-{words.encode()[:80].decode(errors='ignore')}{ending}"
