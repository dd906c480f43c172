"""A prompt with its values, in parts, before it takes the form that a model is asked in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

ANSWER_MARK = "Answer:"
"""Begins the line of an exemplar's answer, and the line that the model is to complete."""

_BLANK_LINES = re.compile(r"\n[ \t]*\n")


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A solved question of a prompt: its lines, and the answer without its mark."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class PromptParts:
    """What a prompt says about one request.

    Args:
        instructions: Block ``system``; empty where there is none.
        examples: Block ``examples``; empty where there is none.
        question: Block ``user``.
    """

    instructions: str
    examples: str
    question: str

    @property
    def exemplars(self) -> tuple[Exemplar, ...]:
        """The solved questions among the examples, in order."""
        return tuple(_exemplars(self.examples))


def _exemplars(text: str) -> Iterator[Exemplar]:
    r"""The pieces between blank lines that hold a line ``Answer: ...``; others are words around.

    >>> list(_exemplars("Two examples:\n\nQuestion: what is Rex?\nAnswer: a dog"))
    [Exemplar(question='Question: what is Rex?', answer='a dog')]
    """
    for piece in _BLANK_LINES.split(text):
        question, mark, answer = f"\n{piece}".rpartition(f"\n{ANSWER_MARK}")
        if mark:
            yield Exemplar(question.strip(), answer.strip())
