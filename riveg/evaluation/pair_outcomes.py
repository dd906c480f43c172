"""What becomes of an entity from one run to another run of the same samples."""

from __future__ import annotations

from enum import Enum


class PairOutcome(Enum):
    """Whether an entity is right in the first run, and in the second.

    ``riveg compare`` and ``riveg report`` publish the outcomes in their JSON in two spellings; both
    are kept here.
    """

    FIXED = ("fixed", "fixed")
    BROKEN = ("broken", "broken")
    STILL_WRONG = ("still wrong", "still-wrong")
    BOTH_RIGHT = ("right under both", "both-right")

    def __init__(self, in_comparison: str, in_report: str) -> None:
        self.in_comparison = in_comparison
        self.in_report = in_report

    @classmethod
    def of(cls, *, before: bool, after: bool) -> PairOutcome:
        """The outcome of an entity that is right, or not, in the first run and in the second."""
        if before:
            return cls.BOTH_RIGHT if after else cls.BROKEN
        return cls.FIXED if after else cls.STILL_WRONG
