"""What a server prints, for people: without secrets, the lines that say why it ended first."""

from __future__ import annotations

import os
import re

from riveg.llm.endpoint import Serve

_SHOWN_LINES = 12


def without_secrets(text: str, serve: Serve, key: str) -> str:
    """The text without the server's key and the secrets in environment variables."""
    values = [key, *(value for name, value in os.environ.items() if _SECRET.search(name))]
    values += [value for name, value in serve.environment.items() if _SECRET.search(name)]
    for value in values:
        if len(value) >= 6:
            text = text.replace(value, "***")
    return text


_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
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
