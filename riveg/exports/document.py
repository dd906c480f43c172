"""What ``riveg export --json`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SCHEMA = "riveg-export-1"


@dataclass(frozen=True, slots=True)
class ExportDocument:
    """An export.

    Args:
        schema: Name and version of this document.
        format: The format's name.
        out: The folder that was written.
        files: What to open first; a folder for many files of a kind.
        counts: How many were written of what.
        left_out: Why what was not written, counted.
    """

    schema: str
    format: str
    out: Path
    files: tuple[Path, ...]
    counts: Mapping[str, int]
    left_out: Mapping[str, int]
