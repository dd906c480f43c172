"""What samples were made of: digests by which one sees, without reading rows, that none changed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from riveg.files import file_digest, text_digest


@cache
def code_digest() -> str:
    """Digest of riveg's own code and of Python's version: others may read data otherwise."""
    home = Path(__file__).parents[1]
    files = sorted(home.rglob("*.py"))
    each = [f"{path.relative_to(home)} {file_digest(path)}" for path in files]
    return text_digest("\n".join([sys.version, *each]))


def digest_of_files(how: object, files: Iterable[Path]) -> str | None:
    """Digest of the bytes of files and of how they are read; ``None`` where one cannot be read.

    Args:
        how: Its ``repr`` tells all that shapes the rows, and is the same in every process.
        files: Regular files; a folder cannot be told.
    """
    try:
        return text_digest("\n".join([repr(how), *map(file_digest, files)]))
    except OSError:
        return None
