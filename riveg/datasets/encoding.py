"""Text files that are not UTF-8, recognised by their first bytes."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from riveg.errors import UserError

_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def open_utf_8(path: Path) -> IO[bytes]:
    """The file, opened at its start.

    Raises:
        UserError: If it begins like UTF-16; other bytes that are not UTF-8 are found only when
            they are decoded.
        OSError: If it cannot be opened.
    """
    handle = path.open("rb")
    start = handle.read(4)
    # No header and no JSON object begins with NUL bytes; in UTF-16, every other byte is one.
    if start.startswith(_UTF_16_MARKS) or b"\0" in start:
        handle.close()
        raise UserError(f"{path}: is not UTF-8 (it looks like UTF-16); save it as UTF-8")
    handle.seek(0)
    return handle
