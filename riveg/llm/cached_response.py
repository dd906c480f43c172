"""A response as it is kept, and its row in ``answers.sqlite``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from riveg.llm.conversation import AnswerPath, ChatAnswer, Parser, Response


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A response that could be read, and how.

    Args:
        response: The response.
        path: How it was read.
        model: The id of the model that wrote it.
        prompt_tokens: Tokens of the requests, as the server counted them.
        answer_tokens: Tokens of the responses, as the server counted them.
        latency_s: Seconds until the answer was there.
        requests: Requests that were sent, re-asks among them.
    """

    response: Response
    path: AnswerPath
    model: str
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    latency_s: float | None = None
    requests: int = 1

    @classmethod
    def of(cls, answer: ChatAnswer, model: str) -> CachedResponse:
        """The response of an answer, without what the parser made of it."""
        return cls(
            answer.response,
            answer.path,
            model,
            answer.prompt_tokens,
            answer.answer_tokens,
            answer.latency_s,
            answer.requests,
        )

    def answer(self, parse: Parser) -> ChatAnswer:
        """What a parser makes of the response now.

        Raises:
            Unparsable: If the parser refuses the response; it may have changed since.
        """
        return ChatAnswer(
            parse(self.response),
            self.response,
            self.path,
            cached=True,
            requests=0,
            prompt_tokens=self.prompt_tokens,
            answer_tokens=self.answer_tokens,
            latency_s=self.latency_s,
        )


def encoded(cached: CachedResponse) -> tuple[Any, ...]:
    """The values of a row."""
    response = cached.response
    full = (response.thoughts, response.tokens)
    parts = (response.text, response.finish_reason, response.first_token)
    return (
        # ASCII only: UTF-8 cannot hold every text of a model.
        json.dumps([*parts, *(full if any(full) else ())]),
        cached.path,
        cached.model,
        cached.prompt_tokens,
        cached.answer_tokens,
        None if cached.latency_s is None else float(cached.latency_s),
        cached.requests,
    )


def decoded(values: Sequence[Any]) -> CachedResponse:
    """A response as it was kept.

    Raises:
        ValueError: If the row is damaged.
        TypeError: If it holds something else.
        RecursionError: If it has too many brackets.
    """
    raw, path, model, prompt_tokens, answer_tokens, latency_s, requests = values
    words, finish_reason, first_token, *more = json.loads(raw)
    thoughts, tokens = more or ("", ())
    options, written = (
        tuple((token, value) for token, value in pairs) for pairs in (first_token, tokens)
    )
    is_whole = (
        raw.isascii()
        and all(isinstance(one, str) for one in (words, finish_reason, model, thoughts))
        and all(
            isinstance(token, str) and not math.isnan(value)
            for token, value in (*options, *written)
        )
        and path in get_args(AnswerPath)
        and all(isinstance(one, int | None) for one in (prompt_tokens, answer_tokens))
        and isinstance(latency_s, float | None)
        and isinstance(requests, int)
    )
    if not is_whole:
        raise ValueError("a damaged row")
    response = Response(words, finish_reason, options, thoughts=thoughts, tokens=written)
    return CachedResponse(response, path, model, prompt_tokens, answer_tokens, latency_s, requests)
