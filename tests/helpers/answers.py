"""Answers of backends, taken apart where a test knows what they are."""

from __future__ import annotations

from typing import TypeVar

from riveg.protocols import AnswerOrIssue, PartialAnswer
from riveg.types import Issue

Answer = TypeVar("Answer")


def whole(answer: AnswerOrIssue[Answer]) -> Answer:
    """The answer, which lacks nothing."""
    assert not isinstance(answer, PartialAnswer | Issue), answer
    return answer


def partial(answer: AnswerOrIssue[Answer]) -> PartialAnswer[Answer]:
    """The answer, which lacks something."""
    assert isinstance(answer, PartialAnswer), answer
    return answer


def issue_of(answer: object) -> Issue:
    """The Issue that stands in the place of an answer."""
    assert isinstance(answer, Issue), answer
    return answer
