"""Data from standard input, kept in a file so that a run can go on and be scored later."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import zlib
from pathlib import Path
from typing import IO

from riveg.caches import cache_home
from riveg.errors import UserError

STANDARD_INPUT = "-"
"""How standard input is named."""

CALLED = "stdin"
"""How it is called in messages and names."""

_FOLDER = "standard-input"
"""Where it is kept below riveg's own files."""

_COPIED_AT_ONCE = 1 << 20


def shown(path: Path) -> str:
    """A file for messages: what came in on standard input is called that, not by its kept copy."""
    is_kept = path.parent.resolve() == (cache_home() / _FOLDER).resolve()
    return CALLED if is_kept or str(path) == STANDARD_INPUT else str(path)


def keep_standard_input(stream: IO[bytes] | None = None) -> Path:
    """Writes what comes in to a file that is named by its content, and gives that file.

    Args:
        stream: Where to read; ``None``: standard input.

    Raises:
        UserError: If nothing comes in, or it cannot be written.
    """
    source = sys.stdin.buffer if stream is None else stream
    if source.isatty():
        raise UserError(
            "-: nothing comes in; give the data as in: riveg run SYSTEM --data - < FILE"
        )
    folder = cache_home() / _FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder) as handle:
            digest, start = _copy(source, handle)
            if not start:
                raise UserError("-: nothing came in on standard input")
            path = folder / f"{digest}{_suffix(start)}"
            if not path.exists():
                os.link(handle.name, path)
    except OSError as error:
        raise UserError(
            f"{folder}: standard input cannot be kept there ({error.strerror}); set RIVEG_CACHE to "
            "a folder with room"
        ) from error
    return path


def _copy(source: IO[bytes], target: IO[bytes]) -> tuple[str, bytes]:
    """The digest of what was copied, and its first bytes."""
    digest = hashlib.blake2b(digest_size=16)
    start = b""
    while chunk := source.read(_COPIED_AT_ONCE):
        start = start or chunk
        digest.update(chunk)
        target.write(chunk)
    target.flush()
    return digest.hexdigest(), start


def _suffix(start: bytes) -> str:
    """The ending of a file that begins so."""
    if start.startswith(b"PAR1"):
        return ".parquet"
    if start.startswith(b"\x1f\x8b"):
        try:
            start = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(start, 1000)
        except zlib.error:
            return ".csv"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    return ".jsonl" if text.startswith((b"{", b"[")) else ".csv"
