"""Captions by a vision-language model: one plain sentence on what the image shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.llm.conversation import Chat, NoAnswer, PreparedRequest, Request, Response, Unparsable
from riveg.llm.prompts import Prompt
from riveg.protocols import Captioner
from riveg.stages.chat_backend import (
    ask_about,
    image_of,
    issue_of,
    messages_of,
    read_prompt,
    require_chat,
)
from riveg.types import Issue, Sample

_LONGEST = 500
"""Characters of a caption; more is no sentence, and would crowd out the sample in later prompts."""


class ChatCaptionerConfig(BackendConfig[Captioner]):
    """``llm``: the model's name; ``prompt``: a prompt's name or a ``.jinja`` file.

    ``max_tokens``: of the answer.
    """

    stage: ClassVar[str] = "caption"
    name: ClassVar[str] = "chat"
    summary: ClassVar[str] = "one sentence by a vision-language model"
    extra: ClassVar[str | None] = "chat"
    needs_image: ClassVar[bool] = True
    whole_parts: ClassVar[bool] = True

    llm: str = "main"
    prompt: str = "caption/short.v1"
    max_tokens: int = Field(default=128, ge=1)

    def build(self, context: BuildContext) -> ChatCaptioner:
        """Reads the prompt and finds the model; nothing is asked yet.

        Raises:
            UserError: If there is no such model or prompt, or the prompt wants values.
        """
        return ChatCaptioner(
            require_chat(context, self.stage, self.llm),
            read_prompt(self.prompt, context.base, constants=(), values=()),
            max_tokens=self.max_tokens,
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digest of the prompt.

        Raises:
            UserError: As in building: found before the run.
        """
        return {"prompt": read_prompt(self.prompt, base, constants=(), values=()).fingerprint}


class ChatCaptioner:
    """Shows each image by itself: the sample's words must not slip into what is seen.

    Args:
        chat: The model.
        prompt: With a block ``user``; it has no variables.
        max_tokens: Of the answer.
    """

    def __init__(self, chat: Chat, prompt: Prompt, *, max_tokens: int = 128) -> None:
        self._chat = chat
        self._prompt = prompt
        self._max_tokens = max_tokens

    def prepare(self, samples: Sequence[Sample]) -> Sequence[PreparedRequest]:
        """The questions that :meth:`caption` would ask.

        Raises:
            UserError: If the prompt fails on one of them.
        """
        return [self._prepared(sample) for sample in samples]

    def caption(self, samples: Sequence[Sample]) -> Sequence[str | Issue]:
        """One line of text about each image."""
        answers = ask_about(self._chat, samples, self._prepared)
        return [
            issue_of("caption", None, answer) if isinstance(answer, NoAnswer) else str(answer.value)
            for answer in answers
        ]

    def _prepared(self, sample: Sample) -> PreparedRequest:
        messages = messages_of(self._prompt, {}, {}, image_of(sample))
        request = Request(messages, read_caption, max_tokens=self._max_tokens)
        return PreparedRequest((sample.id, ()), request, self._prompt.name)


def read_caption(response: Response) -> str:
    """An answer as one line without quotation marks around it.

    Raises:
        Unparsable: If it is empty, or too long for a caption.
    """
    line = " ".join(response.text.split())
    if len(line) > 1 and line[0] == line[-1] == '"':
        line = line[1:-1].strip()
    if not line:
        raise Unparsable("The answer was empty. Describe the picture in one sentence.")
    if len(line) > _LONGEST:
        raise Unparsable("That is too long. Describe the picture in one sentence of thirty words.")
    return line
