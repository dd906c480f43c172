"""Where the files that travel with riveg lie: prompts, configs, quickstart posts, small models."""

from __future__ import annotations

import hashlib
from pathlib import Path

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
