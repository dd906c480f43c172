"""What a server prints, for people: without secrets, the lines that say why it ended first."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import IO
from uuid import uuid4

from riveg.llm.endpoint import Serve
from riveg.text.secrets import Redaction, secrets_of

_SHOWN_LINES = 12


def log_redaction(serve: Serve, key: str) -> Redaction:
    """Takes the server's key and the secrets in environment variables out of what it prints."""
    return Redaction((key, *secrets_of(os.environ), *secrets_of(serve.environment)))


def redact_file(path: Path, redaction: Redaction) -> None:
    """Takes secrets out of a log that is written no more; others cannot read it meanwhile."""
    clean = path.with_name(f"{path.name}.{uuid4().hex}")
    try:
        with path.open("rb") as log, open_private(clean) as copy:
            has_secrets = False
            for line in iter(lambda: log.readline(_LONGEST_LINE), b""):
                text = line.decode("utf-8", "surrogateescape")
                shown = redaction(text)
                has_secrets = has_secrets or shown != text
                copy.write(shown.encode("utf-8", "surrogateescape"))
        if has_secrets:
            clean.replace(path)
    finally:
        clean.unlink(missing_ok=True)


def open_private(path: Path) -> IO[bytes]:
    """A new file that nobody else may read; one that is there already is replaced.

    Raises:
        OSError: If it cannot be made.
    """
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    return os.fdopen(os.open(path, flags, mode=0o600), "wb")


_LONGEST_LINE = 1 << 20
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PREFIX = re.compile(
    r"^(?:\([\w-]+ pid=\d+\) ?)?(?:(?:DEBUG|INFO|WARNING|ERROR) [\d-]+ [\d:]+ \[[^\]]+\] ?)?"
)
_REASON = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Fault): |: error: ")


def readable(log: str) -> list[str]:
    """A log's lines that have words, without colours, process ids, times and source lines.

    >>> readable("(APIServer pid=7) INFO 11-20 22:35:22 [model.py:7] Using max model len 99")
    ['Using max model len 99']
    """
    lines = (line.rpartition("\r")[2] for line in _COLOUR.sub("", log).split("\n"))
    kept = (_PREFIX.sub("", line).rstrip() for line in lines)
    return [line for line in kept if re.search(r"\w", line)]


def reasons(lines: list[str]) -> list[str]:
    """The last lines, after the first line that names an error: the last often name none."""
    last = lines[-_SHOWN_LINES:]
    first = next((line for line in lines[:-_SHOWN_LINES] if _REASON.search(line)), None)
    return last if first is None or first in last else [first, "...", *last]
