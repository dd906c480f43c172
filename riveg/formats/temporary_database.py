"""A private SQLite database that lies in memory while it is small, and else in a temporary file."""

from __future__ import annotations

import sqlite3


def temporary_database(table: str) -> sqlite3.Connection:
    """A new one with one table, of which nothing outlives its connection.

    All statements are one transaction: one for each takes three times as long. Nothing protects
    what is written, since nobody reads it after a crash.

    Args:
        table: What SQL calls its name and columns: ``seen (key BLOB PRIMARY KEY)``.
    """
    # With an empty name, SQLite keeps a private database that moves to a temporary file when it
    # grows and is deleted with the connection.
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    for statement in (
        "PRAGMA journal_mode = OFF",
        "PRAGMA synchronous = OFF",
        f"CREATE TABLE {table}",
        "BEGIN",
    ):
        connection.execute(statement)
    return connection


def key_bytes(text: str) -> bytes:
    """A text as a key: SQLite's own texts cannot hold halves of UTF-16 pairs, which JSON can."""
    return text.encode("utf-8", "surrogatepass")


def key_text(key: bytes) -> str:
    """The text of a key."""
    return key.decode("utf-8", "surrogatepass")
