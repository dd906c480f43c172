"""Files written whole or not at all, files shipped with riveg, digests, and file names."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO, TextIOWrapper
from pathlib import Path
from secrets import token_hex
from typing import IO

from riveg.errors import UserError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_RIGHT = {errno.EROFS, errno.EACCES, errno.EPERM}

STORES = frozenset({"s3", "gs", "gcs", "az", "abfs", "memory"})
"""Object stores, by how their addresses begin: ``s3://``."""

_NO_FOLDERS = {f"{scheme}:" for scheme in (*STORES, "hdfs", "hf")}
"""How a path that names a place elsewhere begins; as a path it has lost a slash."""

_AS_THE_USER_SAYS = 0o666
"""Mode of a new file before the umask is taken off."""

_FOR_THE_OWNER = 0o600

PARTIAL = ".partial"
"""Ending of a temporary file; one is left only by a process that was killed while it wrote.

The next writer of the same file removes it.
"""


@contextmanager
def replacing(path: Path, *, is_private: bool = False) -> Iterator[Path]:
    """A temporary file beside ``path``: what is written there replaces ``path`` at the end.

    It is synced to disk first, so ``path`` is always the whole new file or the old one. If the
    block raises, the temporary file is removed and ``path`` stays as it is. Its name is nobody
    else's while it is there, and it is made here: two writers never meet, and no link that lies
    there is followed. What a killed writer of ``path`` has left is removed.

    Args:
        path: The file to replace.
        is_private: Whether nobody else may read it.

    Raises:
        OSError: If the file cannot be written, synced or renamed.
    """
    temporary, held = _temporary_of(path, _FOR_THE_OWNER if is_private else _AS_THE_USER_SAYS)
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
    except BaseException:
        # Once it is renamed, its name may be another writer's.
        if _lies_at(held, temporary):
            temporary.unlink()
        raise
    finally:
        os.close(held)
    _sync(path.parent)


_WRITERS = 8
"""How many may write one file at once under names that the next writer looks at."""


def _temporary_of(path: Path, mode: int) -> tuple[Path, int]:
    """A new file beside a path, and its descriptor, which is to be open as long as it is used.

    Its lock tells other writers that its process is alive: the kernel frees it at a kill.
    """
    start = f"{_beginning(path.name)}.riveg-"
    names = [f"{start}{number}{PARTIAL}" for number in range(_WRITERS)]
    places = [path.with_name(name) for name in (*names, f"{start}{token_hex(8)}{PARTIAL}")]
    for place in places[:-1]:
        _remove_left(place)
    for place in places:
        held = _made(place, mode)
        if held is not None:
            return place, held
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(places[-1]))


def _made(place: Path, mode: int) -> int | None:
    """The descriptor of a new and locked file; ``None`` where the name is another's."""
    try:
        held = os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return None
    # Until it is locked, another writer may have taken it for a file that was left.
    if try_lock(held) is not False and _lies_at(held, place):
        return held
    os.close(held)
    return None


def _remove_left(place: Path) -> None:
    """Removes a temporary file of this user whose writer is no more; leaves whatever else is."""
    try:
        found = os.open(place, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    try:
        is_own = os.fstat(found).st_uid == os.geteuid()
        if is_own and try_lock(found) and _lies_at(found, place):
            place.unlink()
    except OSError:
        pass
    finally:
        os.close(found)


def try_lock(descriptor: int) -> bool | None:
    """Whether an open file's or folder's lock is had; ``None`` where its system knows no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _lies_at(descriptor: int, place: Path) -> bool:
    """Whether an open file is the regular one of that name."""
    try:
        found = place.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and os.path.samestat(os.fstat(descriptor), found)


def _beginning(name: str) -> str:
    # A file system counts bytes, 255 at most, and the temporary name is longer than the file's.
    return name.encode(errors="surrogateescape")[:200].decode(errors="ignore")


def write_atomically(
    path: Path, chunks: Iterable[bytes], *, goes_on: bool = False, is_private: bool = False
) -> None:
    """Writes a whole file, or leaves the old one as it is.

    Args:
        path: The file.
        chunks: What it holds.
        goes_on: Whether the command, given again, goes on where it stopped; a full disk's error
            says so then.
        is_private: Whether nobody else may read the file, because it might hold secrets.

    Raises:
        UserError: If it cannot be written, the disk being full for one, or no file is named.
    """
    if not path.name:
        raise UserError(f"{path}: expected the name of a file to write")
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: cannot be written, it is there and is no file")
    with (
        writing(path, goes_on=goes_on),
        replacing(path, is_private=is_private) as temporary,
        temporary.open("wb") as handle,
    ):
        handle.writelines(chunks)


@contextmanager
def writing(path: Path, *, goes_on: bool = False) -> Iterator[None]:
    """Errors of the disk in the block become one line that names the file and says what to do.

    Args:
        path: The file or folder that is written, whatever temporary file the error is of.
        goes_on: As for :func:`write_atomically`.

    Raises:
        UserError: If the block raises an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        advice = what_to_do(error, goes_on=goes_on)
        what = error.strerror or str(error)
        raise UserError(f"{path}: cannot be written ({what}); {advice}") from error


def make_folder(path: Path) -> None:
    """Makes a folder, and those that it lies in, unless it is there.

    Raises:
        UserError: If it cannot be made, or names an object store (``s3://...``); says what to do.
    """
    if store := _NO_FOLDERS.intersection(path.parts):
        raise UserError(
            f"{path}: {min(store)}// is no folder of this machine; write here and copy, or mount "
            "it as a file system"
        )
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)


def is_lack_of_room(error: OSError) -> bool:
    """Whether a disk is full, or a quota or a limit on a file's size is met."""
    return error.errno in _NO_SPACE


def what_to_do(error: OSError, *, goes_on: bool = False) -> str:
    """What mends an error of a disk, for the end of a message."""
    if is_lack_of_room(error):
        end = ": it goes on where it stopped" if goes_on else ""
        return f"make room, then give the same command again{end}"
    if error.errno in _NO_RIGHT:
        return "name another place, or make this one writable"
    if error.errno == errno.EIO:
        return "the disk fails or has gone away: look after it, or name another place"
    return "mend that, then give the same command again"


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


_LONGEST_NAME = 100

NAME_OF_FOLDERS = f"a name for folders: no / or control character, up to {_LONGEST_NAME} bytes"
"""What :func:`names_a_folder` asks for, as errors say it; run folders are named for such names."""


def names_a_folder(name: str) -> bool:
    """Whether a name can be a part of a folder's name, and leads nowhere else.

    >>> names_a_folder("posts-2"), names_a_folder("x/../../.."), names_a_folder("..")
    (True, False, False)
    """
    return (
        name.isprintable()
        and name.strip(". ") != ""
        and not {"/", "\\"} & {*name}
        and len(name.encode(errors="surrogatepass")) <= _LONGEST_NAME
    )


def numbered_name(number: int, name: str, ending: str) -> str:
    """A file name that stays inside its folder and is unique, whatever the sample is called.

    >>> numbered_name(3, "../../etc/passwd", ".png")
    '00003-etc-passwd.png'
    """
    words = "-".join(re.findall(r"\w+", name))
    # A file system counts bytes, not characters: 255 at most.
    return f"{number:05d}-{words.encode()[:80].decode(errors='ignore')}{ending}"
