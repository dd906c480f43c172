"""One question until it is answered or given up: no sockets, no clock, whoever serves the model."""

from __future__ import annotations

from riveg.llm.conversation import Message, NoReply, Path, Question, RawAnswer, Reply, Unparsable
from riveg.llm.json_answers import is_json

_ENDED = frozenset({"stop", "eos", "eos_token", "stop_sequence", "end_turn"})
"""Finish reasons of a model that was done, as servers spell them."""

_QUOTED_CHARACTERS = 80
"""Of an answer that nobody could read, in the reason why it is missing."""

_SHOWN_CHARACTERS = 2_000
"""Of a bad answer that the model is shown again."""

_SHORTER = (
    "Your answer was cut off because it was too long. "
    "Give the complete answer again, much shorter, and nothing else."
)


class Interview:
    """What to send now, and what to make of the answer.

    Args:
        question: What is asked.
        re_asks: How often the model may be shown what was wrong; for an answer that was too long
            once at most.
        structured: Whether the server is asked to keep to the question's schema.
    """

    def __init__(self, question: Question, re_asks: int, *, structured: bool = True) -> None:
        self._question = question
        self._left = re_asks
        self._structured = structured
        self._taken = 0
        self._was_long = False
        self.messages: tuple[Message, ...] = question.messages

    def take(self, raw: RawAnswer) -> Reply | NoReply | None:
        """What an answer comes to; ``None``: ask again, with ``messages``."""
        self._taken += 1
        if raw.finish_reason == "content_filter":
            return NoReply("no-answer", "the server's content filter withheld the answer", raw)
        if not self._is_complete(raw):
            return self._take_unfinished(raw)
        try:
            value = self._parse(raw)
        except Unparsable as fault:
            return self._again("unparsable-answer", str(fault), raw)
        return Reply(value, raw, self._path(raw), asked=self._taken)

    def _is_complete(self, raw: RawAnswer) -> bool:
        """Whether nothing is missing at the answer's end.

        One that was stopped is complete where the first token is all that matters, and where it
        is JSON to its last bracket: some models then add blanks until they are stopped.
        """
        if raw.finish_reason in _ENDED or self._question.first_tokens:
            return True
        return self._question.schema is not None and is_json(raw.text)

    def _take_unfinished(self, raw: RawAnswer) -> NoReply | None:
        if raw.finish_reason != "length":
            wrong = f"The answer did not end by itself (finish reason {raw.finish_reason!r:.40})."
            return self._again("unparsable-answer", wrong, raw)
        if self._was_long:
            self._left = 0
        self._was_long = True
        at = f"the answer was cut off at {self._question.max_tokens} tokens"
        return self._again("truncated-answer", _SHORTER, raw, final=at)

    def _parse(self, raw: RawAnswer) -> object:
        if not raw.text.strip() and not raw.first_token:
            raise Unparsable("The answer was empty.")
        return self._question.parse(raw)

    def _path(self, raw: RawAnswer) -> Path:
        if self._taken > 1:
            return "re-asked"
        if self._question.schema is None:
            return "plain"
        if not is_json(raw.text):
            return "lenient"
        return "schema" if self._structured else "plain"

    def _again(
        self, kind: str, wrong: str, raw: RawAnswer, *, final: str | None = None
    ) -> NoReply | None:
        if self._left <= 0:
            return NoReply(kind, final or f"{wrong}{_quoted(raw.text)}", raw)
        self._left -= 1
        shown = raw.text.strip()[:_SHOWN_CHARACTERS] or "(nothing)"
        self.messages = (
            *self._question.messages,
            Message("assistant", shown),
            Message("user", wrong),
        )
        return None


def _quoted(answer: str) -> str:
    line = " ".join(answer.split())
    if len(line) > _QUOTED_CHARACTERS:
        line = f"{line[:_QUOTED_CHARACTERS]}..."
    return f" The answer was: {line}" if line else ""
