"""Requests to a language model and its responses, whoever serves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from riveg.types import Box, ImageRef

Role = Literal["system", "user", "assistant", "completion"]
"""Whose turn it is; ``completion``: no turn but a text that the model is to continue."""

PromptForm = Literal["chat", "turns", "completion"]
"""How a prompt becomes messages. ``chat``: one system message with the examples in it, one of the
user; ``turns``: each example as a turn of the user and one of the assistant; ``completion``: one
text that the model continues, for small models."""


@dataclass(frozen=True, slots=True)
class AttachedImage:
    """An image in a message; ``crop``: only that part, in pixels of the upright image."""

    image: ImageRef
    crop: Box | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One turn; images stand before the text."""

    role: Role
    text: str
    images: tuple[AttachedImage, ...] = ()


@dataclass(frozen=True, slots=True)
class Response:
    """What a model writes.

    Args:
        text: Its words, without its thoughts.
        finish_reason: Why it stopped: ``stop``, ``length``, ``content_filter`` ...
        first_token: The likeliest first tokens with their natural log-probabilities, if the
            request wants them.
        is_refusal: Whether the server says that the model refuses, in a field of its own.
        thoughts: Its words before the answer, if the request wants them.
        tokens: All its tokens with their natural log-probabilities, thoughts among them, if the
            request wants them and the server gives them.
    """

    text: str
    finish_reason: str
    first_token: tuple[tuple[str, float], ...] = ()
    is_refusal: bool = False
    thoughts: str = ""
    tokens: tuple[tuple[str, float], ...] = ()


class Unparsable(ValueError):
    """Raised by a parser: the message tells the model what is wrong with its response.

    ``kind`` is the Issue's, if no re-ask helps.
    """

    kind = "unparsable-answer"


class Refused(Unparsable):
    """Raised by a parser for a response that refuses to answer, or says that there is nothing."""

    kind = "refused-answer"


Parser = Callable[[Response], Any]
"""Pure: from a response to its answer; raises :class:`Unparsable`."""


@dataclass(frozen=True, slots=True)
class Request:
    """Messages for a language model, and how its response is read.

    Args:
        messages: The long constant part first, byte-identical between the requests of a run, so
            that a server can keep what it has computed for it.
        parse: Makes an answer of a response.
        schema: JSON schema of the response, with bounded strings; ``None``: free text.
        max_tokens: Most tokens of the response.
        first_tokens: How many of the likeliest first tokens are wanted, 0 to 20.
        stop: Texts that end the response; they are no part of it.
        in_full: Whether thoughts and the log-probabilities of all tokens are wanted.
    """

    messages: tuple[Message, ...]
    parse: Parser
    schema: Mapping[str, Any] | None = None
    max_tokens: int = 256
    first_tokens: int = 0
    stop: tuple[str, ...] = ()
    in_full: bool = False

    @property
    def completes(self) -> str | None:
        """The text that the model is to continue; ``None``: the messages are turns."""
        return text_to_complete(self.messages)

    @property
    def images(self) -> tuple[AttachedImage, ...]:
        """The images of all messages."""
        return tuple(image for message in self.messages for image in message.images)


def text_to_complete(messages: Sequence[Message]) -> str | None:
    """The text of a request in the form ``completion``; ``None``: the messages are turns."""
    return messages[0].text if messages and messages[0].role == "completion" else None


AnswerPath = Literal["schema", "plain", "lenient", "repaired", "re-asked"]
"""How a response was read: bound by the schema; as a whole, without a schema; picked out of other
words or another form; after its JSON was repaired; after the model was shown the fault of an
earlier response."""


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """The answer that a parser makes of a response.

    Args:
        value: The answer itself.
        response: What it was made of.
        path: How it was read.
        cached: Whether the response comes from the cache.
        requests: Requests that were sent, re-asks among them; 0 for a cached response.
        prompt_tokens: Tokens of the requests, as the server counted them.
        answer_tokens: Tokens of the responses, as the server counted them.
        latency_s: Seconds until the answer was there.
    """

    value: Any
    response: Response
    path: AnswerPath
    cached: bool = False
    requests: int = 1
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    latency_s: float | None = None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Why there is no answer: ``kind`` becomes an Issue's.

    ``no-answer``: the server refused the request or failed each time; ``truncated-answer``: the
    response ended at ``max_tokens``; ``unparsable-answer`` and ``refused-answer``: re-asks did not
    help; ``bad-picture`` or the kind of an image fault: an image of the request cannot be used.
    """

    kind: str
    message: str
    response: Response | None = None


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens of a request; ``exact``: counted by the model's own tokenizer, not estimated."""

    tokens: int
    exact: bool


class Chat(Protocol):
    """A language model; stages may share it, processes may not."""

    @property
    def model(self) -> str:
        """The model's id."""

    def ask(self, requests: Sequence[Request]) -> Sequence[ChatAnswer | NoAnswer]:
        """Answers in the order of the requests; equal requests are sent once.

        Raises:
            RivegError: If the server is gone: the run stops and can be resumed.
        """

    def cached(self, request: Request) -> ChatAnswer | None:
        """The answer from the cache, if it is there; sends nothing."""

    def count(self, request: Request) -> TokenCount:
        """Tokens of the request; images are estimated from their sent size."""


@dataclass(frozen=True, slots=True)
class PromptValue:
    """A value that a prompt is rendered with, and where it comes from: ``entity.text`` ..."""

    value: object
    source: str


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """A request and what it was made from, for people to look at.

    Args:
        subject: The id of the sample that it is about, and the ids of the entities.
        request: What would be sent.
        prompt: The prompt's name.
        values: The values by variable.
    """

    subject: tuple[str, tuple[str, ...]]
    request: Request
    prompt: str
    values: Mapping[str, PromptValue] = field(default_factory=dict)
