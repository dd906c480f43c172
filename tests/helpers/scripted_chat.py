"""A language model whose words come from a function: for tests of stages, without a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from riveg.llm.conversation import ChatAnswer, NoAnswer, Request, Response, TokenCount
from riveg.llm.reasking import Dialogue


def key_of(request: Request) -> str:
    """A text that is the same for equal requests."""
    return json.dumps([repr(request.messages), request.schema, request.first_tokens])


@dataclass(slots=True)
class ScriptedChat:
    """Keeps every answer, as a real chat does, and every request that was sent.

    Args:
        answer: The model's words; at a re-ask the request holds the longer conversation. A
            ``NoAnswer`` stands for a server that has no answer.
        re_asks: How often an unreadable response is asked for again.
        asked: Every request, re-asks among them, in order.
    """

    answer: Callable[[Request], str | Response | NoAnswer]
    re_asks: int = 2
    asked: list[Request] = field(default_factory=list)
    model: str = "scripted"
    _kept: dict[str, ChatAnswer | NoAnswer] = field(default_factory=dict)

    def ask(self, requests: Sequence[Request]) -> Sequence[ChatAnswer | NoAnswer]:
        """Answers in order; equal requests are sent once."""
        return [self._kept_answer(request) for request in requests]

    def cached(self, request: Request) -> ChatAnswer | None:
        """The answer that was given before."""
        kept = self._kept.get(key_of(request))
        return replace(kept, cached=True, requests=0) if isinstance(kept, ChatAnswer) else None

    def count(self, request: Request) -> TokenCount:
        """Four characters a token."""
        return TokenCount(sum(len(one.text) for one in request.messages) // 4, exact=False)

    def _kept_answer(self, request: Request) -> ChatAnswer | NoAnswer:
        key = key_of(request)
        if key not in self._kept:
            self._kept[key] = self._converse(request)
        return self._kept[key]

    def _converse(self, request: Request) -> ChatAnswer | NoAnswer:
        dialogue = Dialogue(request, self.re_asks)
        while True:
            sent = replace(request, messages=tuple(dialogue.messages))
            self.asked.append(sent)
            words = self.answer(sent)
            if isinstance(words, NoAnswer):
                return words
            response = Response(words, "stop") if isinstance(words, str) else words
            taken = dialogue.take(response)
            if taken is not None:
                return taken
