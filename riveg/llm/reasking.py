"""What is sent for one request until it has an answer or is given up: no sockets, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from riveg.llm.borders import PLAIN
from riveg.llm.conversation import (
    AnswerPath,
    ChatAnswer,
    Message,
    NoAnswer,
    Refused,
    Request,
    Response,
    Unparsable,
)
from riveg.llm.json_answers import is_json, reading_path
from riveg.llm.prompt_parts import ANSWER_MARK

_ENDED = frozenset({"stop", "eos", "eos_token", "stop_sequence", "end_turn"})
"""Finish reasons of a model that was done, as servers spell them."""

_QUOTED_CHARACTERS = 80
"""Of an unreadable response, in the reason why there is no answer."""

_SHOWN_CHARACTERS = 2_000
"""Of a bad response, as it is shown to the model again."""

_SHORTER = (
    "Your answer was cut off because it was too long. "
    "Give the complete answer again, much shorter, and nothing else."
)

_EMPTY = "The answer was empty."

_ENDLESS = "The answer did not end by itself (finish reason {!r:.40})."

_REFUSED = (
    "That is a refusal and no answer. "
    "Answer in the form that was asked for, from what is given; nobody has to be identified."
)

REMARKS = (_SHORTER, _EMPTY, _ENDLESS, _REFUSED)
"""What a re-ask says of any request's response; models repeat it now and then."""


class Dialogue:
    """Decides what to send next for one request, and what a response comes to.

    ``messages`` are those to send next.

    Args:
        request: The request.
        re_asks: How often the model may be shown the fault of its response; the fault that it is
            too long once at most.
        structured: Whether the server is asked to keep to the request's schema.
    """

    def __init__(self, request: Request, re_asks: int, *, structured: bool = True) -> None:
        self._request = request
        self._left = re_asks
        self._structured = structured
        self._responses = 0
        self._was_long = False
        self.messages: tuple[Message, ...] = request.messages

    def take(self, response: Response) -> ChatAnswer | NoAnswer | None:
        """What a response comes to; ``None``: send the new ``messages``."""
        self._responses += 1
        response = _stopped(response, self._request.stop)
        if not self._request.in_full:
            response = replace(response, thoughts="", tokens=())
        if response.finish_reason == "content_filter":
            message = "the server's content filter withheld the answer"
            return NoAnswer("no-answer", message, response)
        if response.is_refusal:
            return self._ask_again(Refused.kind, _REFUSED, response)
        if not self._is_complete(response):
            return self._take_unfinished(response)
        try:
            value = self._parse(response)
        except Unparsable as fault:
            return self._ask_again(fault.kind, str(fault), response)
        return ChatAnswer(value, response, self._path(response), requests=self._responses)

    def _is_complete(self, response: Response) -> bool:
        """Whether nothing is missing at the response's end.

        A response that was stopped is complete if only its first token matters, or if it is JSON
        to its last bracket: some models then add blanks until they are stopped.
        """
        if response.finish_reason in _ENDED or self._request.first_tokens:
            return True
        return self._request.schema is not None and is_json(response.text)

    def _take_unfinished(self, response: Response) -> NoAnswer | None:
        reason = response.finish_reason
        if reason != "length":
            return self._ask_again("unparsable-answer", _ENDLESS.format(reason), response)
        if self._was_long:
            self._left = 0
        self._was_long = True
        final = f"the answer was cut off at {self._request.max_tokens} tokens"
        return self._ask_again("truncated-answer", _SHORTER, response, final=final)

    def _parse(self, response: Response) -> object:
        if not response.text.strip() and not response.first_token:
            raise Unparsable(_EMPTY)
        return self._request.parse(response)

    def _path(self, response: Response) -> AnswerPath:
        if self._responses > 1:
            return "re-asked"
        if self._request.schema is None:
            return "plain"
        path = reading_path(response.text, self._request.schema)
        return "plain" if path == "schema" and not self._structured else path

    def _ask_again(
        self, kind: str, wrong: str, response: Response, *, final: str | None = None
    ) -> NoAnswer | None:
        """Prepares a re-ask; the reason to give up instead, if none is left."""
        if self._left <= 0:
            told = wrong if wrong.endswith(".") else f"{wrong}."
            return NoAnswer(kind, final or f"{told}{_quotation(response.text)}", response)
        self._left -= 1
        shown = response.text.strip()[:_SHOWN_CHARACTERS] or "(nothing)"
        self.messages = _with_fault(self._request, shown, wrong)
        return None


def _with_fault(request: Request, shown: str, wrong: str) -> tuple[Message, ...]:
    """The request, its response, and what is wrong with that.

    Both may quote a row: what looks like a border is marked there, too.
    """
    shown, wrong = PLAIN.shielded(shown), PLAIN.shielded(wrong)
    if request.completes is not None:
        text = f"{request.completes} {shown}\n({wrong})\n{ANSWER_MARK}"
        return (Message("completion", text),)
    return (*request.messages, Message("assistant", shown), Message("user", wrong))


def _stopped(response: Response, stops: Sequence[str]) -> Response:
    """The response up to the first of the texts that end it; servers may give it with them."""
    ends = [response.text.find(stop) for stop in stops if stop in response.text]
    if not ends:
        return response
    return replace(response, text=response.text[: min(ends)], finish_reason="stop")


def _quotation(text: str) -> str:
    line = " ".join(text.split())
    if len(line) > _QUOTED_CHARACTERS:
        line = f"{line[:_QUOTED_CHARACTERS]}..."
    return f" The answer was: {line}" if line else ""
