"""Captions by a vision-language model: one plain sentence on what the image shows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.llm.answer_marks import without_markup
from riveg.llm.answer_text import text_of
from riveg.llm.conversation import PreparedRequest, Response, Unparsable
from riveg.protocols import AnswerOrIssue, Captioner
from riveg.reads import Reads, reads
from riveg.stages.chat_backend import PromptedChat, PromptVariables, prompted_chat
from riveg.types import Sample

_VARIABLES = PromptVariables()
_LABEL = re.compile(
    r"\A[*_]{0,3}(?:caption|description)[*_]{0,3}\s*:\s*[*_]{0,3}\s*", re.IGNORECASE
)
_LONGEST = 500
"""Characters of a caption; more is no sentence, and leaves later prompts no room for the sample."""


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

    def reads(self) -> Reads:
        return reads("image")

    def build(self, context: BuildContext) -> ChatCaptioner:
        """Reads the prompt and finds the model; nothing is asked yet.

        Raises:
            UserError: If there is no such model or prompt, or the prompt wants values.
        """
        return ChatCaptioner(
            prompted_chat(self, context, _VARIABLES, {}), max_tokens=self.max_tokens
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        return _VARIABLES.contents(self.prompt, base)


class ChatCaptioner:
    """Shows the model each image without the sample's words: a caption says what is seen.

    Args:
        chat: The model with its prompt.
        max_tokens: Of the answer.
    """

    def __init__(self, chat: PromptedChat, *, max_tokens: int = 128) -> None:
        self._chat = chat
        self._max_tokens = max_tokens

    def prepare(self, samples: Sequence[Sample]) -> Sequence[PreparedRequest]:
        """The requests that :meth:`caption` sends.

        Raises:
            UserError: If the prompt fails on one of them.
        """
        return [self._prepared(sample) for sample in samples]

    def caption(self, samples: Sequence[Sample]) -> Sequence[AnswerOrIssue[str]]:
        """One line of text about each image."""
        return self._chat.answer(samples, self._prepared, lambda _, answer: str(answer.value))

    def _prepared(self, sample: Sample) -> PreparedRequest:
        return self._chat.prepare(
            sample, (), {}, read_caption, shows_image=True, max_tokens=self._max_tokens
        )


def read_caption(response: Response) -> str:
    """An answer as one line without markup, a label or quotation marks around it.

    Raises:
        Refused: If it is a refusal.
        Unparsable: If it is empty, or too long for a caption.
    """
    line, before = " ".join(without_markup(response.text).split()), None
    while line != before:
        before = line
        if len(line) > 1 and line[0] == line[-1] == '"':
            line = line[1:-1].strip()
        line = without_markup(_LABEL.sub("", line))
    if not line:
        raise Unparsable("The answer was empty. Describe the picture in one sentence.")
    if len(line) > _LONGEST:
        raise Unparsable("That is too long. Describe the picture in one sentence of thirty words.")
    return text_of(line, "That", _LONGEST)
