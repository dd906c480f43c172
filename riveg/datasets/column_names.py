"""Which column is which, and what to say where that is not clear."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

COLUMNS = ("id", "text", "tokens", "offsets", "image", "caption", "entities")
"""Every column that is read; other columns are ignored."""

_IMAGE_WORDS = ("image", "picture", "photo", "img", "file_name", "filename")

_SEPARATORS = {";": "semicolons", "\t": "tabs"}

_MOST_NAMES = 8
"""Columns listed in a message."""


def known_columns(names: Iterable[str]) -> dict[str, str]:
    """The columns that are read: own name -> name in :data:`COLUMNS`.

    Case and outer blanks are ignored, but a column with the exact name is preferred.

    >>> known_columns(["ID", " Text", "id", "likes"])
    {'id': 'id', ' Text': 'text'}
    """
    found = [*names]
    known = {name: name for name in found if name in COLUMNS}
    for name in found:
        meant = _normalised(name)
        if meant in COLUMNS and meant not in known.values():
            known[name] = meant
    return known


def header_problem(names: Sequence[str]) -> str | None:
    """Why no sample can be read from these columns, or ``None``."""
    known = known_columns(names)
    for name, meant in known.items():
        others = [other for other in names if _normalised(other) == meant and other != name]
        if others and name != meant:
            return f"{name!r} and {others[0]!r} both mean the column {meant}; keep one of them"
    if {"text", "tokens"} & {*known.values()}:
        return None
    separated = separation("\n".join(names))
    if separated:
        return separated
    for expected in ("text", "tokens"):
        near = difflib.get_close_matches(expected, names, n=1)
        if near:
            return f"found column {near[0]!r}, expected {expected!r}"
    found = ", ".join(map(repr, names[:_MOST_NAMES])) + ", ..." * (len(names) > _MOST_NAMES)
    return f"has neither a column text nor tokens; found {found}"


def separation(header: str) -> str | None:
    """What to say of a header whose columns seem not to be separated by commas, or ``None``."""
    for sign, word in _SEPARATORS.items():
        parts = {part.strip(' "\r').lower() for part in header.replace("\n", sign).split(sign)}
        if sign in header and {"text", "tokens"} & parts:
            return f"looks separated by {word}; save it with commas between the columns"
    return None


def missing_image_note(names: Sequence[str]) -> str:
    """What to say where there is no column ``image``: names a column that may be meant as it."""
    known = known_columns(names)
    likely = [name for name in names if name not in known and _looks_like_images(_normalised(name))]
    hint = f"; found {likely[0]!r}, did you mean image?" if likely else ""
    return f"has no column image{hint}"


def _looks_like_images(name: str) -> bool:
    near = difflib.get_close_matches(name, ["image"], n=1)
    return bool(near) or any(word in name for word in _IMAGE_WORDS)


def _normalised(name: str) -> str:
    return name.strip().lower()
