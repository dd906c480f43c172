"""Text files as they lie on disk: compressed or not, in UTF-8 or recognised as something else."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from riveg.datasets.standard_input import shown
from riveg.errors import UserError
from riveg.files import open_regular

_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_GZIP_MARK = b"\x1f\x8b"


def open_utf_8(path: Path) -> IO[bytes]:
    """The file, opened at its start; one that gzip has compressed is read as what is in it.

    Raises:
        UserError: If it begins like UTF-16; other bytes that are not UTF-8 are found only when
            they are decoded.
        OSError: If it cannot be opened.
    """
    handle: IO[bytes] = open_regular(path)
    try:
        start = handle.read(4)
        handle.seek(0)
        if start.startswith(_GZIP_MARK):
            handle.close()
            handle = cast("IO[bytes]", gzip.open(path))  # noqa: SIM115 - the caller closes it
            start = handle.read(4)
            handle.seek(0)
        # No header and no JSON object begins with NUL bytes; in UTF-16, every other byte is one.
        if start.startswith(_UTF_16_MARKS) or b"\0" in start:
            raise UserError(f"{shown(path)}: is not UTF-8 (it looks like UTF-16); save it as UTF-8")
    except BaseException:
        handle.close()
        raise
    return handle


@contextmanager
def one_line_errors(path: Path) -> Iterator[None]:
    """What goes wrong in reading the file in the block, as one line.

    Raises:
        UserError: If it cannot be read, or what gzip has compressed is damaged.
    """
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{shown(path)}: damaged, it cannot be uncompressed ({error})") from error
    except OSError as error:
        raise UserError(f"{shown(path)}: cannot be read ({error.strerror})") from error
