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
        counts: Numbers of what was written.
        left_out: Reasons why something was not written, with numbers.
    """

    schema: str
    format: str
    out: Path
    files: tuple[Path, ...]
    counts: Mapping[str, int]
    left_out: Mapping[str, int]
