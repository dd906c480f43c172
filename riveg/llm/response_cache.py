"""``answers.sqlite``: responses of language models, each under a digest of its request."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from riveg.errors import UserError
from riveg.files import text_digest
from riveg.llm.cached_response import CachedResponse, decoded, encoded
from riveg.llm.conversation import ChatAnswer, Request, Unparsable

SCHEMA = 2
"""Answers of schema 1 have no digest; they are kept."""

_WAIT_S = 60.0
"""How long a writer waits for writers of other processes."""

_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY,
    raw TEXT NOT NULL,
    path TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt_tokens INTEGER,
    answer_tokens INTEGER,
    latency_s REAL,
    asked INTEGER NOT NULL,
    digest TEXT
) WITHOUT ROWID
"""

_DAMAGE = (sqlite3.Error, UnicodeError)
"""What a damaged file raises: its schema may stand in a message in bytes that are no UTF-8."""

_ASKED = """
SELECT model, COUNT(*), SUM(asked), SUM(prompt_tokens), SUM(answer_tokens)
FROM answers GROUP BY model ORDER BY model
"""

_COLUMNS = "raw, path, model, prompt_tokens, answer_tokens, latency_s, asked"


@dataclass(frozen=True, slots=True)
class Asked:
    """What one model was asked and said, re-asks among it.

    Args:
        model: Its id.
        answers: Responses that are kept.
        requests: Requests that were sent for them.
        prompt_tokens: Of the requests, as the server counted them; ``None`` if it never did.
        answer_tokens: Of the responses, likewise.
    """

    model: str
    answers: int
    requests: int
    prompt_tokens: int | None
    answer_tokens: int | None


class ResponseCache:
    """Responses by key, for several threads and processes at once.

    The file is made with the first response. A response is in the file when :meth:`put` returns,
    even if the process is killed at that moment.

    Args:
        path: The file; ``None`` keeps the responses in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def recall(self, key: str, request: Request) -> ChatAnswer | None:
        """The answer to a request, if its response is cached and its parser can read it.

        Raises:
            UserError: If the file is no cache or cannot be read.
        """
        cached = self.get(key)
        try:
            return None if cached is None else cached.answer(request.parse)
        except Unparsable:
            return None

    def get(self, key: str) -> CachedResponse | None:
        """The response under a key; one that is not as it was written is none.

        Raises:
            UserError: If the file is no cache or cannot be read.
        """
        with self._lock:
            if self._connection is None and not (self._path and self._path.is_file()):
                return None
            row = self._run(f"SELECT {_COLUMNS}, digest FROM answers WHERE key = ?", (key,))
        if row is None:
            return None
        *values, digest = row
        if not _is_as_written(key, values, digest):
            return None
        try:
            return decoded(values)
        except (ValueError, TypeError, RecursionError):
            return None

    def put(self, key: str, cached: CachedResponse) -> None:
        """Keeps a response; it replaces one under the same key.

        Raises:
            UserError: If the file cannot be written.
        """
        values = encoded(cached)
        row = (key, *values, _digest(key, values))
        with self._lock:
            self._run(
                f"INSERT OR REPLACE INTO answers (key, {_COLUMNS}, digest) "
                f"VALUES ({','.join('?' * len(row))})",
                row,
            )

    def add_all(self, path: Path) -> None:
        """Adds what another cache holds and this one does not; damaged responses are none.

        Raises:
            UserError: If one of the files is no cache or cannot be read, or this one written.
        """
        columns = f"key, {_COLUMNS}, digest"
        marks = ",".join("?" * len(columns.split(",")))
        with self._lock:
            self._run("BEGIN IMMEDIATE", ())
            for key, *values, digest in _rows(path, f"SELECT {columns} FROM answers"):
                if _is_as_written(key, values, digest):
                    row = (key, *values, digest)
                    self._run(f"INSERT OR IGNORE INTO answers ({columns}) VALUES ({marks})", row)
            self._run("COMMIT", ())

    def asked(self) -> tuple[Asked, ...]:
        """What the models were asked, by model.

        Raises:
            UserError: If the file is no cache or cannot be read.
        """
        if not (self._path and self._path.is_file()):
            return ()
        try:
            with _for_reading(self._path) as connection:
                return tuple(Asked(*row) for row in connection.execute(_ASKED))
        except _DAMAGE as error:
            raise UserError(
                f"{self._path}: its answers cannot be counted ({_what(error)})"
            ) from error

    def close(self) -> None:
        """Closes the file. The cache can be used again; one in memory is then empty."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __enter__(self) -> ResponseCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, statement: str, values: tuple[object, ...]) -> Any:
        try:
            if self._connection is None:
                self._connection = _open(self._path)
            return self._connection.execute(statement, values).fetchone()
        except _DAMAGE as error:
            raise UserError(
                f"{self._path}: answers cannot be kept there ({_what(error)}); "
                "move the file away, or make room and see who else holds it"
            ) from error


def _rows(path: Path, query: str) -> Iterator[Sequence[Any]]:
    try:
        with closing(_open(path)) as connection:
            yield from connection.execute(query)
    except _DAMAGE as error:
        raise UserError(
            f"{path}: its answers cannot be read ({_what(error)}); move the file away"
        ) from error


def _what(error: Exception) -> str:
    return "damaged" if isinstance(error, UnicodeError) else str(error)


def _open(path: Path | None) -> sqlite3.Connection:
    if path is not None and path.exists() and not _can_write(path):
        return _read_only(path)
    connection = _connected(path)
    try:
        if path is not None:
            _write_ahead(connection)
            # Safe if the process dies; only a power cut may lose the latest responses.
            connection.execute("PRAGMA synchronous = NORMAL")
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _can_write(path: Path) -> bool:
    """Whether a file and its folder can be written: the log of a cache lies beside it."""
    return os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK)


def _read_only(path: Path) -> sqlite3.Connection:
    """What a file holds that cannot be written, in memory; nothing can be added."""
    connection = _connected(None)
    try:
        with _still(path) as file:
            file.backup(connection)
        _prepare(connection, path)
        connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _for_reading(path: Path) -> Iterator[sqlite3.Connection]:
    """What a file holds, read beside a run that may be at work on it."""
    if not _can_write(path):
        with _still(path) as connection:
            yield connection
        return
    address = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=_WAIT_S)) as connection:
        yield connection


@contextmanager
def _still(path: Path) -> Iterator[sqlite3.Connection]:
    """What a file holds to which nobody writes."""
    with _standing_still(path) as still:
        address = f"{still.absolute().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            yield connection


@contextmanager
def _standing_still(path: Path) -> Iterator[Path]:
    """The file with all of its answers: those of a killed run may stand in the log beside it."""
    log = path.with_name(f"{path.name}-wal")
    if not log.is_file() or not log.stat().st_size:
        yield path
        return
    with TemporaryDirectory(prefix="riveg-") as folder:
        copy = Path(folder) / path.name
        try:
            for source in (path, log):
                shutil.copyfile(source, copy.with_name(source.name))
        except OSError as error:
            raise UserError(
                f"{path}: its answers cannot be copied to {folder} ({error.strerror}); set TMPDIR "
                "to a folder with room"
            ) from error
        with closing(sqlite3.connect(copy)) as file:
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        yield copy


def _connected(path: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path or ":memory:",
        timeout=_WAIT_S,
        isolation_level=None,  # each statement is its own transaction
        check_same_thread=False,  # the lock serialises its use
    )
    # A damaged text must not cost the connection: its row is asked again.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    return connection


def _prepare(connection: sqlite3.Connection, path: Path | None) -> None:
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if schema != SCHEMA:
        connection.execute("BEGIN IMMEDIATE")
        _bring_up_to_date(connection, path)
        connection.execute("COMMIT")


def _bring_up_to_date(connection: sqlite3.Connection, path: Path | None) -> None:
    """Makes the table, or adds what an older one lacks; another process may just have done so."""
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if schema not in {0, 1, SCHEMA}:
        raise UserError(
            f"{path}: answers of schema {schema}, expected {SCHEMA}; move the file away"
        )
    if schema == 1:
        connection.execute("ALTER TABLE answers ADD COLUMN digest TEXT")
    connection.execute(_TABLE)
    connection.execute(f"PRAGMA user_version = {SCHEMA}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switches to a write-ahead log, which readers and a writer can use at once."""
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # SQLite does not wait by itself when several processes switch a new file at once.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _is_as_written(key: str, values: Sequence[Any], digest: str | None) -> bool:
    """Whether a row is what was written; of one without a digest nobody knows."""
    return digest is None or digest == _digest(key, values)


def _digest(key: str, values: Sequence[Any]) -> str | None:
    """Digest of a row; ``None`` for one that was never written so."""
    try:
        return text_digest(json.dumps([key, *values]))
    except TypeError:  # bytes
        return None
