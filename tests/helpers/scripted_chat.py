"""A language model whose words come from a function: for tests of stages, without a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from riveg.llm.conversation import NoReply, Question, RawAnswer, Reply, TokenCount
from riveg.llm.reasking import Interview


def key_of(question: Question) -> str:
    """A text that is the same for the same question."""
    return json.dumps([repr(question.messages), question.schema, question.first_tokens])


@dataclass(slots=True)
class ScriptedChat:
    """Keeps every answer, as a real one does, and everything that it was really asked.

    Args:
        answer: The model's words; at a re-ask the question carries the longer conversation. A
            ``NoReply`` stands for a server that has no answer.
        re_asks: How often an answer that cannot be read is asked for again.
        asked: Every request, re-asks among them, in order.
    """

    answer: Callable[[Question], str | RawAnswer | NoReply]
    re_asks: int = 2
    asked: list[Question] = field(default_factory=list)
    model: str = "scripted"
    _kept: dict[str, Reply | NoReply] = field(default_factory=dict)

    def ask(self, questions: Sequence[Question]) -> Sequence[Reply | NoReply]:
        """Answers in order; the same question is asked once."""
        return [self._kept_answer(question) for question in questions]

    def stored(self, question: Question) -> Reply | None:
        """The answer that was given before."""
        kept = self._kept.get(key_of(question))
        return replace(kept, stored=True, asked=0) if isinstance(kept, Reply) else None

    def count(self, question: Question) -> TokenCount:
        """Four characters a token."""
        return TokenCount(sum(len(one.text) for one in question.messages) // 4, exact=False)

    def _kept_answer(self, question: Question) -> Reply | NoReply:
        key = key_of(question)
        if key not in self._kept:
            self._kept[key] = self._interviewed(question)
        return self._kept[key]

    def _interviewed(self, question: Question) -> Reply | NoReply:
        interview = Interview(question, self.re_asks)
        while True:
            sent = replace(question, messages=tuple(interview.messages))
            self.asked.append(sent)
            words = self.answer(sent)
            if isinstance(words, NoReply):
                return words
            raw = RawAnswer(words, "stop") if isinstance(words, str) else words
            taken = interview.take(raw)
            if taken is not None:
                return taken
