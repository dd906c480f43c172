"""Where each key was first seen, in memory that does not grow with the number of keys."""

from __future__ import annotations

import hashlib
import sqlite3
from types import TracebackType

from riveg.errors import UserError
from riveg.formats.temporary_database import key_bytes, key_text, temporary_database

_MOST_NEW = 4096
"""Keys that wait to be stored: many at once, in order, take a quarter of the time."""

_FILTER_BITS = 1 << 24
"""Of a million keys, one in seventeen shares its bit with another one."""


class FirstSeen:
    """Remembers the first place of each key, in a temporary file once there are many.

    A key whose bit in a filter is not set has not been stored, so that nothing is looked up for
    most new keys.
    """

    def __init__(self) -> None:
        self._connection = temporary_database(
            "seen (key BLOB PRIMARY KEY, place BLOB) WITHOUT ROWID"
        )
        self._new: dict[bytes, bytes] = {}
        self._filter = bytearray(_FILTER_BITS // 8)

    def __enter__(self) -> FirstSeen:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def place_of(self, key: str, place: str) -> str | None:
        """Where the key was first seen; ``None`` for a new key, which is remembered with ``place``.

        Raises:
            UserError: If the temporary file has no room.
        """
        digest = hashlib.blake2b(key_bytes(key), digest_size=16).digest()
        found = self._new.get(digest)
        if found is None:
            byte, bit = _bit(digest)
            if self._filter[byte] & bit:
                found = self._stored(digest)
        if found is not None:
            return key_text(found)
        self._new[digest] = key_bytes(place)
        if len(self._new) == _MOST_NEW:
            self._store()
        return None

    def _stored(self, digest: bytes) -> bytes | None:
        try:
            found = self._connection.execute("SELECT place FROM seen WHERE key = ?", (digest,))
            row = found.fetchone()
            found.close()
        except sqlite3.Error as error:
            raise _no_room(error) from error
        return None if row is None else bytes(row[0])

    def _store(self) -> None:
        for digest in self._new:
            byte, bit = _bit(digest)
            self._filter[byte] |= bit
        try:
            self._connection.executemany(
                "INSERT INTO seen VALUES (?, ?)", sorted(self._new.items())
            )
        except sqlite3.Error as error:
            raise _no_room(error) from error
        self._new.clear()


def _bit(digest: bytes) -> tuple[int, int]:
    """The place of a key in the filter."""
    place = int.from_bytes(digest[:4], "little") % _FILTER_BITS
    return place >> 3, 1 << (place & 7)


def _no_room(error: sqlite3.Error) -> UserError:
    return UserError(
        f"ids cannot be compared, their temporary file has no room ({error}); make room, "
        "or set TMPDIR to another place"
    )
