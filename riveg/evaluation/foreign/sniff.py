"""Which format a file of predictions has."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from riveg.errors import UserError
from riveg.evaluation.foreign.e2e import answer_keys
from riveg.evaluation.foreign.json_objects import is_array, read_objects
from riveg.evaluation.foreign.tiger import is_dumped
from riveg.formats.conll import DOCUMENT_MARK, HEADER
from riveg.formats.lines import numbered_lines
from riveg.formats.predicted_tags import is_predicted_tag
from riveg.formats.records import decode
from riveg.formats.tiger_text import NOT_SHOWN, SHOWN, TAIL
from riveg.types import Sample

FORMATS = ("run", "jsonl", "smner", "riveg", "e2e", "tiger", "conll")
"""The formats that can be recognised."""

_MOST_LINES = 200
_RIVEG = re.compile(r"Imageid:.*###.*###.*###[02]")
_RIVEG_GOLD = re.compile(r"(?!Imageid:).*###.*###.*###[02]###&\[.*\]")
_TIGER = tuple(f"{TAIL} {place}" for place in (SHOWN, NOT_SHOWN))


def sniff(path: Path) -> str:
    """One of :data:`FORMATS`, recognised by the first lines.

    Raises:
        UserError: If the file has none of these formats, or cannot be read.
    """
    found = _folder(path) if path.is_dir() else _file(path)
    if found is None:
        raise UserError(
            f"{path}: is in none of the formats {', '.join(FORMATS)}; name the right one "
            "with --format"
        )
    return found


def is_riveg_gold(path: Path) -> bool:
    """Whether a path is RiVEG's label file and not a dataset of another kind."""
    if not path.is_file():
        return False
    try:
        lines = _first_lines(path)
    except UserError:
        return False
    return bool(lines) and _RIVEG_GOLD.fullmatch(lines[0]) is not None


def _folder(path: Path) -> str | None:
    if (path / "manifest.json").is_file():
        return "run"
    if not (path / "index.json").is_file() and (path / "samples").is_dir():
        raise UserError(
            f"{path}: an smner export that did not come to its end, it has no index.json; export "
            "the run again"
        )
    return "smner" if (path / "index.json").is_file() else None


def _first_lines(path: Path) -> list[str]:
    filled = (line for _, line in numbered_lines(path) if line.strip())
    return list(islice(filled, _MOST_LINES))


def _file(path: Path) -> str | None:
    lines = _first_lines(path)
    if not lines:
        raise UserError(f"{path}: is empty")
    first = lines[0]
    if first.lstrip().startswith("{"):
        return _json_line(first)
    if _RIVEG.fullmatch(first):
        return "riveg"
    if any(is_dumped(line) or any(end in line for end in _TIGER) for line in lines):
        return "tiger"
    rows = [line.rstrip() for line in lines if not line.startswith(DOCUMENT_MARK)]
    if first.startswith(HEADER) or (rows and _is_tagged(rows)):
        return "conll"
    return _array(path) if is_array(path) else None


def _is_tagged(rows: Sequence[str]) -> bool:
    """Whether the first row ends in a tag, or all rows do that have blanks in the place of tabs."""
    if "\t" in rows[0]:
        return is_predicted_tag(rows[0].rpartition("\t")[2].strip())
    return all(is_predicted_tag(row.rpartition(" ")[2]) and " " in row for row in rows)


def _json_line(line: str) -> str | None:
    try:
        decode(Sample, line)
    except UserError:
        values = _values(line)
        if "tokens" in values:  # a record, though a damaged one: its reader says what is wrong
            return "jsonl"
        return "e2e" if answer_keys(values) else None
    return "jsonl"


def _array(path: Path) -> str | None:
    first = next(read_objects(path), None)
    if first is None:
        raise UserError(f"{path}: is empty")
    if "tokens" in first.values:
        raise UserError(f"{path}: is an array; expected one record a line")
    return "e2e" if answer_keys(first.values) else None


def _values(line: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}
