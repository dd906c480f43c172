"""What is asked of a language model and what comes back, whoever serves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from riveg.types import Box, ImageRef

Role = Literal["system", "user", "assistant"]


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
class RawAnswer:
    """What a model said.

    Args:
        text: Its words, without its thoughts.
        finish_reason: Why it stopped: ``stop``, ``length``, ``content_filter`` ...
        first_token: The likeliest first tokens with their log-probabilities, where asked for.
    """

    text: str
    finish_reason: str
    first_token: tuple[tuple[str, float], ...] = ()


class Unparsable(ValueError):
    """Raised by a parser: the message says what is wrong with an answer, for the model to mend."""


Parser = Callable[[RawAnswer], Any]
"""Pure: from an answer to its value; raises :class:`Unparsable`."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request.

    Args:
        messages: The long constant part first, byte-identical between the questions of a run, so
            that a server can keep it.
        parse: Makes the value of an answer.
        schema: JSON schema of the answer, with bounded strings; ``None``: free text.
        max_tokens: Most tokens of the answer.
        first_tokens: How many of the likeliest first tokens are wanted, 0 to 20.
    """

    messages: tuple[Message, ...]
    parse: Parser
    schema: Mapping[str, Any] | None = None
    max_tokens: int = 256
    first_tokens: int = 0


Path = Literal["schema", "plain", "lenient", "re-asked"]
"""How an answer came about: bound by the schema; as it was asked for, without one; picked out of
other words; after the model was shown what was wrong."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that could be read.

    Args:
        value: What the question's parser made of it.
        raw: The words.
        path: How it came about.
        stored: Whether it was on file and nobody was asked.
        asked: Requests that it took, re-asks among them; 0 where it was on file.
        prompt_tokens: Tokens of the request, as the server counted them.
        answer_tokens: Tokens of the answer.
        latency_s: Seconds until it was there.
    """

    value: Any
    raw: RawAnswer
    path: Path
    stored: bool = False
    asked: int = 1
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    latency_s: float | None = None


@dataclass(frozen=True, slots=True)
class NoReply:
    """Why there is no answer: ``kind`` becomes an Issue's.

    ``no-answer``: the server refused or failed again and again; ``truncated-answer``: it stopped at
    ``max_tokens``; ``unparsable-answer``: re-asks did not help; ``bad-picture``: an image of the
    question cannot be used (``kind`` is then the image's fault).
    """

    kind: str
    message: str
    raw: RawAnswer | None = None


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens of a request; ``exact`` where the model's own tokenizer counted, else an estimate."""

    tokens: int
    exact: bool


class Chat(Protocol):
    """A model to be asked; safe to be shared by stages, not by processes."""

    @property
    def model(self) -> str:
        """The model's id."""

    def ask(self, questions: Sequence[Question]) -> Sequence[Reply | NoReply]:
        """Answers in the questions' order; the same question twice is asked once.

        Raises:
            RivegError: If the server is gone: the run stops and can go on later.
        """

    def stored(self, question: Question) -> Reply | None:
        """The answer on file, if there is one; asks nobody."""

    def count(self, question: Question) -> TokenCount:
        """Tokens of the question; images are estimated from their sent size."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value that a prompt was rendered with, and where it came from: ``entity.text`` ..."""

    value: object
    source: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A question with what it was made from, for people to look at.

    Args:
        subject: The ids asked about: the sample's and, one by one, those of its entities.
        question: What would be sent.
        prompt: The prompt's name.
        given: The values by variable.
    """

    subject: tuple[str, tuple[str, ...]]
    question: Question
    prompt: str
    given: Mapping[str, Given] = field(default_factory=dict)
