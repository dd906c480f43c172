"""Which format a file of predictions has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from riveg.datasets.dataset import quoted
from riveg.errors import UserError
from riveg.evaluation.foreign.e2e import ANSWER_KEYS, answer_keys
from riveg.evaluation.foreign.json_objects import read_objects
from riveg.evaluation.foreign.sake import is_sake
from riveg.evaluation.foreign.tiger import is_dumped
from riveg.formats.conll import DOCUMENT_MARK, HEADER
from riveg.formats.lines import numbered_lines
from riveg.formats.predicted_tags import is_predicted_tag
from riveg.formats.records import decode
from riveg.formats.tiger_text import NOT_SHOWN, SHOWN, TAIL
from riveg.types import Sample

FORMATS = ("run", "jsonl", "smner", "riveg", "e2e", "sake", "tiger", "conll")
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
    fault = None
    if first.lstrip().startswith(("{", "[")):
        try:
            return _json(path, first)
        except UserError as error:
            fault = error  # Unless another format has words in brackets.
    if _RIVEG.fullmatch(first):
        return "riveg"
    if any(is_dumped(line) or any(end in line for end in _TIGER) for line in lines):
        return "tiger"
    rows = [line.rstrip() for line in lines if not line.startswith(DOCUMENT_MARK)]
    if first.startswith(HEADER) or (rows and _is_tagged(rows)):
        return "conll"
    if fault is not None:
        raise fault
    return None


def _is_tagged(rows: Sequence[str]) -> bool:
    """Whether the first row ends in a tag, or all rows do that have blanks in the place of tabs."""
    if "\t" in rows[0]:
        return is_predicted_tag(rows[0].rpartition("\t")[2].strip())
    return all(is_predicted_tag(row.rpartition(" ")[2]) and " " in row for row in rows)


def _json(path: Path, first_line: str) -> str:
    try:
        decode(Sample, first_line)
    except UserError:
        return _of_objects(path, first_line)
    return "jsonl"


def _of_objects(path: Path, first_line: str) -> str:
    first = next(read_objects(path), None)
    if first is None:
        raise UserError(f"{path}: is empty")
    if "tokens" in first.values:  # a record, though a damaged one: its reader says what is wrong
        if first_line.lstrip().startswith("["):
            raise UserError(f"{path}: is an array; expected one record a line")
        return "jsonl"
    if not answer_keys(first.values):
        keys = quoted(", ".join(first.values))
        raise UserError(
            f"{path}: is in none of the formats {', '.join(FORMATS)}; its first object has the "
            f"keys {keys}, and an answer stands under one of {', '.join(ANSWER_KEYS)}"
        )
    firsts = islice(read_objects(path), _MOST_LINES)
    answers = (item.values[key] for item in firsts for key in answer_keys(item.values)[:1])
    return "sake" if any(map(is_sake, answers)) else "e2e"
