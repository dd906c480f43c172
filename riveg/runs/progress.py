"""How a run tells how it gets on."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told how a run gets on; the command line draws bars from it."""

    def begin(self, stage: str, total: int | None, /) -> None:
        """A stage starts; ``total`` samples, where it is known."""

    def advance(self, samples: int, issues: int, /) -> None:
        """So many more samples have an answer of the stage, so many of them an Issue."""

    def end(self, seconds: float, /) -> None:
        """The stage is through."""

    def note(self, text: str, /) -> None:
        """What it waits for, for example a server that loads."""


class Silence:
    """Progress that nobody wants to see."""

    def begin(self, _stage: str, _total: int | None, /) -> None:
        return None

    def advance(self, _samples: int, _issues: int, /) -> None:
        return None

    def end(self, _seconds: float, /) -> None:
        return None

    def note(self, _text: str, /) -> None:
        return None
