"""How fast a server is asked: an even pace, and how long to wait before the next try."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_PAUSE_S = 30.0
"""Of riveg's own waits; a server may ask for longer ones."""


class Pace:
    """So many units a minute, evenly spread, in the order of asking.

    Args:
        per_minute: Units a minute; ``None``: as many as come.
    """

    def __init__(self, per_minute: float | None) -> None:
        self._unit_s = 60 / per_minute if per_minute else 0.0
        self._free_at = -math.inf

    def reserve(self, now: float, units: float = 1) -> float:
        """Takes the next place; returns the seconds until it.

        Args:
            now: Seconds on any clock that only goes on.
            units: How much of the pace the place uses up.
        """
        start = max(now, self._free_at)
        self._free_at = start + units * self._unit_s
        return start - now

    async def wait(self, units: float = 1) -> None:
        """Returns when it is this caller's turn."""
        await asyncio.sleep(self.reserve(asyncio.get_running_loop().time(), units))


def wait_s(failures: int, pause_s: float, asked_for_s: float | None, chance: float) -> float:
    """Seconds to wait before the next try.

    Args:
        failures: Tries that have failed, 1 or more.
        pause_s: The wait after the first; each later one is twice as long, up to a limit.
        asked_for_s: What the server asked for, which is then the least.
        chance: In [0, 1]: spreads waits over the upper half of their length, so that many
            questions do not come back at once.
    """
    longest = min(LONGEST_PAUSE_S, pause_s * 2.0 ** min(failures - 1, 30))
    if asked_for_s is None:
        return longest * (0.5 + chance / 2)
    return asked_for_s + min(pause_s, longest) * chance


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """What a ``Retry-After`` header asks for, in seconds; ``None`` where it says nothing of use.

    Args:
        headers: With names in lower case, or a mapping that does not mind.
        now: With a time zone; a date in the header is compared with it.
    """
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = _seconds_until(text, now)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_until(date: str, now: datetime) -> float:
    try:
        then = parsedate_to_datetime(date)
    except ValueError:
        return math.nan
    return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() - now.timestamp()
