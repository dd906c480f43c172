"""JSON documents that are written piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator


def compact_json(value: object) -> bytes:
    """JSON in UTF-8 without white space."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def separated(items: Iterable[bytes]) -> Iterator[bytes]:
    """The items of a list, each on its own line, with a comma between two."""
    for number, item in enumerate(items):
        yield (b",\n" if number else b"\n") + item
