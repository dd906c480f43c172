"""Lines of text files in UTF-8."""

from __future__ import annotations

from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path

from riveg.errors import UserError
from riveg.files import open_regular


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Each line without its end, with its number from 1; a byte order mark is left out.

    A line ends with LF or CR LF, so that a CR may be part of a word; only in a file without any LF
    does a CR end a line.

    Raises:
        UserError: If the file cannot be read, or is not UTF-8.
    """
    try:
        with TextIOWrapper(open_regular(path), encoding="utf-8-sig", newline="\n") as handle:
            for number, line in enumerate(handle, start=1):
                if number == 1 and not line.endswith("\n") and "\r" in line:
                    yield from enumerate(line.removesuffix("\r").split("\r"), start=1)
                    return
                yield number, line.removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text ({error})") from error
