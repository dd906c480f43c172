"""Which column is which, and what to say where that is not clear."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from riveg.errors import UserError, suggest

COLUMNS = ("id", "text", "tokens", "offsets", "image", "caption", "entities")
"""Every column that is read; other columns are ignored."""

ColumnChoice: TypeAlias = Mapping[str, str | None]
"""Name in :data:`COLUMNS` -> the data's own name; ``None``: that column is not read."""

_IMAGE_WORDS = ("image", "picture", "photo", "img", "media", "file_name", "filename", "file_path")

_TEXT_WORDS = ("text", "tweet", "post", "content", "body", "message", "sentence", "status")

_MOST_NAMES = 8
"""Columns listed in a message."""


def known_columns(names: Iterable[str], chosen: ColumnChoice | None = None) -> dict[str, str]:
    """The columns that are read: own name -> name in :data:`COLUMNS`.

    Case and outer blanks are ignored, but a column with the exact name is preferred.

    Args:
        names: The data's own names.
        chosen: What the user said of them, which goes first.

    >>> known_columns(["ID", " Text", "id", "likes"])
    {'id': 'id', ' Text': 'text'}
    >>> known_columns(["tweet", "text", "id"], {"text": "tweet", "id": None})
    {'tweet': 'text'}
    """
    found = [*names]
    known = _chosen_columns(found, chosen or {})
    free = [name for name in COLUMNS if name not in (chosen or {})]
    known |= {name: name for name in found if name in free and name not in known}
    for name in found:
        meant = _normalised(name)
        if meant in free and name not in known and meant not in known.values():
            known[name] = meant
    return known


def columns_there(names: Sequence[str], chosen: ColumnChoice) -> dict[str, str | None]:
    """The part of a choice that these columns can fulfil.

    >>> columns_there(["tweet", "id"], {"text": "tweet", "image": "img", "entities": None})
    {'text': 'tweet', 'entities': None}
    """
    there = {*_chosen_columns(names, chosen).values()}
    return {meant: own for meant, own in chosen.items() if own is None or meant in there}


def _chosen_columns(names: Sequence[str], chosen: ColumnChoice) -> dict[str, str]:
    known: dict[str, str] = {}
    for meant, own in chosen.items():
        if own is None:
            continue
        same = [name for name in names if _normalised(name) == _normalised(own)]
        if own in names or same:
            known[own if own in names else same[0]] = meant
    return known


def parse_choice(items: Sequence[str]) -> dict[str, str | None]:
    """What ``--column`` says: ``text=tweet``; with nothing behind the sign, a column is not read.

    Raises:
        UserError: If one is not of that form, or names no column.

    >>> parse_choice(["text=tweet", "entities="])
    {'text': 'tweet', 'entities': None}
    """
    chosen: dict[str, str | None] = {}
    for item in items:
        meant, sign, own = item.partition("=")
        if not sign:
            raise UserError(f"--column {item}: expected COLUMN=NAME, for example text={item}")
        if meant not in COLUMNS and own in COLUMNS:
            raise UserError(f"--column {item}: did you mean {own}={meant}?")
        if meant in chosen:
            raise UserError(f"--column {item}: {meant} is given twice")
        chosen[meant] = own or None
    require_choice(chosen, "--column")
    return chosen


def require_choice(chosen: ColumnChoice, where: str) -> None:
    """Makes sure that columns are chosen which exist, and none of them for two purposes.

    Raises:
        UserError: If not; ``where`` says who chose.
    """
    for meant, own in chosen.items():
        if meant not in COLUMNS:
            raise UserError(f"{where} {meant}={own}: no such column; {suggest(meant, COLUMNS)}")
        others = [name for name, other in chosen.items() if other == own is not None]
        if len(others) > 1:
            raise UserError(f"{where}: {own} is given for {' and '.join(others)}")


def header_problem(names: Sequence[str], chosen: ColumnChoice | None = None) -> str | None:
    """Why no sample can be read from these columns, or ``None``."""
    known = known_columns(names, chosen)
    for meant, own in (chosen or {}).items():
        if own is not None and meant not in known.values():
            return f"has no column {own!r}, which is chosen for {meant}; {_near(own, names)}"
    for name, meant in known.items():
        if meant in (chosen or {}):
            continue
        others = [other for other in names if _normalised(other) == meant and other not in known]
        if others and name != meant:
            return f"{name!r} and {others[0]!r} both mean the column {meant}; keep one of them"
    if {"text", "tokens"} & {*known.values()}:
        return None
    unknown = [name for name in names if name not in known]
    for expected in ("text", "tokens"):
        near = difflib.get_close_matches(expected, unknown, n=1)
        if near:
            return f"found column {near[0]!r}, expected {expected!r}: {_option(expected, near[0])}"
    likely = [name for name in unknown if _has_word(name, _TEXT_WORDS)] or unknown[:1]
    hint = f"; if {likely[0]!r} is the text: {_option('text', likely[0])}" if likely else ""
    return f"has neither a column text nor tokens; found {_listed(names)}{hint}"


def missing_image_note(names: Sequence[str], chosen: ColumnChoice | None = None) -> str:
    """What to say where there is no column ``image``: names a column that may be meant as it."""
    known = known_columns(names, chosen)
    likely = [name for name in names if name not in known and _looks_like_images(_normalised(name))]
    hint = (
        f"; found {likely[0]!r}, did you mean image? Then: {_option('image', likely[0])}"
        if likely
        else ""
    )
    return f"has no column image{hint}"


def _option(meant: str, own: str) -> str:
    return f"--column {shlex.quote(f'{meant}={own}')}"


def _near(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"found {_listed(names)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:_MOST_NAMES])) + ", ..." * (len(names) > _MOST_NAMES)


def _looks_like_images(name: str) -> bool:
    near = difflib.get_close_matches(name, ["image"], n=1)
    return bool(near) or _has_word(name, _IMAGE_WORDS)


def _has_word(name: str, words: Sequence[str]) -> bool:
    return any(word in _normalised(name) for word in words)


def _normalised(name: str) -> str:
    return name.strip().lower()
