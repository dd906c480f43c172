"""How a run reports its progress."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Hears of the progress of a run; the command line draws bars from it."""

    def begin(self, stage: str, total: int | None, /) -> None:
        """A stage starts; ``total`` samples, where it is known."""

    def keep(self, samples: int, /) -> None:
        """So many samples had passed the stage before, and nothing was done about them now."""

    def advance(self, samples: int, issues: int, /) -> None:
        """More samples have passed the stage, or Issues of some that had are known now."""

    def remark(self, text: str, /) -> None:
        """What stands behind the count of the current stage, for example a loss."""

    def end(self, seconds: float, /) -> None:
        """The stage has ended."""

    def note(self, text: str, /) -> None:
        """Something to know now, for example that a server is loading."""


class Silence:
    """Shows nothing."""

    def begin(self, _stage: str, _total: int | None, /) -> None:
        return None

    def keep(self, _samples: int, /) -> None:
        return None

    def advance(self, _samples: int, _issues: int, /) -> None:
        return None

    def remark(self, _text: str, /) -> None:
        return None

    def end(self, _seconds: float, /) -> None:
        return None

    def note(self, _text: str, /) -> None:
        return None
