"""How fast requests are sent: an even pace, and the wait before the next try."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_PAUSE_S = 30.0
"""The longest wait of riveg's own; a server may ask for a longer one."""


class Pace:
    """A number of units a minute, evenly spread, first come, first served.

    Args:
        per_minute: Units a minute; ``None``: no limit.
    """

    def __init__(self, per_minute: float | None) -> None:
        self._unit_s = 60 / per_minute if per_minute else 0.0
        self._free_at = -math.inf

    def reserve(self, now: float, units: float = 1) -> float:
        """Reserves the next place; returns the seconds until it.

        Args:
            now: Seconds on a monotonic clock.
            units: Units that the place uses up.
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
        asked_for_s: What the server asks for: the shortest wait then.
        chance: In [0, 1]: spreads waits over the upper half of their length, so that many
            requests are not sent again at once.
    """
    longest = min(LONGEST_PAUSE_S, pause_s * 2.0 ** min(failures - 1, 30))
    if asked_for_s is None:
        return longest * (0.5 + chance / 2)
    return asked_for_s + min(pause_s, longest) * chance


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """The wait of a ``Retry-After`` header in seconds; ``None``: it names none.

    Args:
        headers: Names in lower case, or a mapping that ignores case.
        now: With a time zone; compared with a date in the header.
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
    except (ValueError, OverflowError):  # a year or a time zone of twenty digits
        return math.nan
    return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() - now.timestamp()
