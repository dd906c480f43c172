"""``answers.sqlite``: what language models said, under a digest of all that shaped it."""

from __future__ import annotations

import json
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from riveg.errors import UserError
from riveg.llm import conversation
from riveg.llm.conversation import RawAnswer

FILE_NAME = "answers.sqlite"
SCHEMA = 1
_WAIT_S = 60.0
"""How long a writer waits for the writers of other processes."""

_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY,
    raw TEXT NOT NULL,
    path TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt_tokens INTEGER,
    answer_tokens INTEGER,
    latency_s REAL,
    asked INTEGER NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer that could be read, and how it came about.

    Args:
        raw: The words.
        path: How they came about.
        model: Who said them.
        prompt_tokens: Tokens of the request, as the server counted them.
        answer_tokens: Tokens of the answer.
        latency_s: Seconds until it was there.
        asked: Requests that it took.
    """

    raw: RawAnswer
    path: conversation.Path
    model: str
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    latency_s: float | None = None
    asked: int = 1

    @classmethod
    def of(cls, reply: conversation.Reply, model: str) -> StoredAnswer:
        """A reply as it is kept: its words, and not what a parser made of them."""
        return cls(
            reply.raw,
            reply.path,
            model,
            reply.prompt_tokens,
            reply.answer_tokens,
            reply.latency_s,
            reply.asked,
        )


class AnswerStore:
    """Answers by key, for several threads and processes at once.

    The file is made when the first answer is put in. An answer is in it when :meth:`put` returns,
    also if the process is killed then.

    Args:
        path: The file; ``None`` keeps the answers in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def get(self, key: str) -> StoredAnswer | None:
        """The answer under a key.

        Raises:
            UserError: If the file is no store of answers or cannot be read.
        """
        with self._lock:
            if self._connection is None and not (self._path and self._path.is_file()):
                return None
            row = self._run(
                "SELECT raw, path, model, prompt_tokens, answer_tokens, latency_s, asked "
                "FROM answers WHERE key = ?",
                (key,),
            )
        return None if row is None else StoredAnswer(_raw(row[0]), *row[1:])

    def put(self, key: str, answer: StoredAnswer) -> None:
        """Keeps an answer; one that is there already is replaced.

        Raises:
            UserError: If the file cannot be written.
        """
        raw = [answer.raw.text, answer.raw.finish_reason, answer.raw.first_token]
        row = (
            key,
            json.dumps(raw),  # ASCII only: also for text that UTF-8 cannot hold
            answer.path,
            answer.model,
            answer.prompt_tokens,
            answer.answer_tokens,
            answer.latency_s,
            answer.asked,
        )
        with self._lock:
            self._run(f"INSERT OR REPLACE INTO answers VALUES ({','.join('?' * 8)})", row)

    def close(self) -> None:
        """Lets go of the file; a store may be used again after it, one in memory is then empty."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __enter__(self) -> AnswerStore:
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
                self._connection = _opened(self._path)
            return self._connection.execute(statement, values).fetchone()
        except sqlite3.Error as error:
            raise UserError(
                f"{self._path}: answers cannot be kept there ({error}); "
                "move the file away, or make room and see who else holds it"
            ) from error


def _opened(path: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path or ":memory:",
        timeout=_WAIT_S,
        isolation_level=None,  # each statement is its own transaction
        check_same_thread=False,  # the lock sees to it
    )
    try:
        if path is not None:
            connection.execute("PRAGMA journal_mode = WAL")
            # Safe when the process dies; only a power cut may cost the latest answers.
            connection.execute("PRAGMA synchronous = NORMAL")
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found not in {0, SCHEMA}:
            raise UserError(
                f"{path}: answers of schema {found}, expected {SCHEMA}; move the file away"
            )
        connection.execute(_TABLE)
        connection.execute(f"PRAGMA user_version = {SCHEMA}")
    except BaseException:
        connection.close()
        raise
    return connection


def _raw(stored: str) -> RawAnswer:
    text, finish_reason, first_token = json.loads(stored)
    return RawAnswer(text, finish_reason, tuple((token, value) for token, value in first_token))
