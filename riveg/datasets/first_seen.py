"""Where each key was first seen, in memory that does not grow with the number of keys."""

from __future__ import annotations

import hashlib
import sqlite3
from types import TracebackType

from riveg.errors import UserError


class FirstSeen:
    """Remembers the first place of each key, in a temporary file once there are many."""

    def __init__(self) -> None:
        # With an empty name, SQLite keeps a private database that moves to a temporary file when
        # it grows and is deleted with the connection.
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for statement in (
            "PRAGMA journal_mode = OFF",
            "PRAGMA synchronous = OFF",
            "CREATE TABLE seen (key BLOB PRIMARY KEY, place BLOB) WITHOUT ROWID",
            # One transaction for all: one for each key takes three times as long.
            "BEGIN",
        ):
            self._connection.execute(statement)
        self._cursor = self._connection.cursor()

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
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        value = place.encode("utf-8", "surrogatepass")
        try:
            found = self._insert_or_find(digest, value)
        except sqlite3.Error as error:
            raise UserError(
                f"ids cannot be compared, their temporary file has no room ({error}); make room, "
                "or set TMPDIR to another place"
            ) from error
        if found is None:
            return None
        return found.decode("utf-8", "surrogatepass")

    def _insert_or_find(self, digest: bytes, value: bytes) -> bytes | None:
        cursor = self._cursor
        cursor.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (digest, value))
        if cursor.rowcount:
            return None
        cursor.execute("SELECT place FROM seen WHERE key = ?", (digest,))
        place = bytes(cursor.fetchone()[0])
        cursor.fetchone()  # nothing: the statement ends
        return place
