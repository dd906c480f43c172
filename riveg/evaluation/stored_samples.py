"""Annotated samples in a temporary database, in memory that does not grow with their number."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Generic, TypeVar

from riveg.errors import UserError
from riveg.formats.records import decode, encode
from riveg.formats.temporary_database import key_bytes, key_text, temporary_database

Stored = TypeVar("Stored")

_TOGETHER = 1000
"""Values that are stored by one call."""

# The number of a row, by which rows are told apart, is its place in the order of items.
_TABLE = "samples (number INTEGER PRIMARY KEY, key BLOB UNIQUE, value BLOB)"

_STORE = (
    "INSERT INTO samples (key, value) VALUES (?, ?) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)


class StoredSamples(Mapping[str, Stored], Generic[Stored]):
    """A mapping by sample id, in the order of the items; each look takes its value from storage.

    Args:
        items: What is stored, all of one kind; a later value of an id replaces an earlier one.

    Raises:
        UserError: If the temporary file has no room.
    """

    def __init__(self, items: Iterable[tuple[str, Stored]]) -> None:
        self._database = temporary_database(_TABLE)
        self._kind: type[Stored] | None = None
        self._latest: tuple[str, Stored] | None = None
        rows = iter(items)
        while some := list(islice(rows, _TOGETHER)):
            self._kind = type(some[-1][1])
            self._store((key_bytes(key), encode(value)) for key, value in some)
        (self._count,) = self._database.execute("SELECT count(*) FROM samples").fetchone()

    def _store(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        try:
            self._database.executemany(_STORE, rows)
        except sqlite3.Error as error:
            raise UserError(
                f"the gold cannot be kept, its temporary file has no room ({error}); make room, or "
                "set TMPDIR to another place"
            ) from error

    def __getitem__(self, key: str) -> Stored:
        # The gold of a sample is looked at several times in a row.
        if self._latest is None or self._latest[0] != key:
            self._latest = key, self._read(key)
        return self._latest[1]

    def _read(self, key: str) -> Stored:
        asked = self._database.execute("SELECT value FROM samples WHERE key = ?", (key_bytes(key),))
        row = asked.fetchone()
        asked.close()
        if row is None or self._kind is None:
            raise KeyError(key)
        return decode(self._kind, row[0])

    def __iter__(self) -> Iterator[str]:
        for (key,) in self._database.execute("SELECT key FROM samples ORDER BY number"):
            yield key_text(key)

    def __len__(self) -> int:
        return int(self._count)
