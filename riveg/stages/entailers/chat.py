"""Entailment by a vision-language model: does the image show it, yes or no, and how surely."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.labels import Label
from riveg.llm.conversation import (
    Chat,
    ChatAnswer,
    PreparedRequest,
    PromptValue,
    Request,
    Response,
    Unparsable,
)
from riveg.llm.json_answers import yes_probability
from riveg.llm.prompts import Prompt
from riveg.protocols import Entailer, Mention
from riveg.stages.chat_backend import (
    ask_about,
    entity_value,
    image_of,
    issue_of,
    label_values,
    messages_of,
    read_prompt,
    require_chat,
    sample_values,
)
from riveg.types import Entailment, Issue

LOG_PROBABILITY = "chat:log-probability"
"""``source`` where the first token's log-probabilities gave the probability."""
WORD = "chat:word"
"""``source`` where the server gives none: the word decides, and there is no probability."""
RE_ASKED = ":re-asked"
"""Follows either where the model had to be shown what was wrong with its first answer."""

_CONSTANTS = ("labels",)
_VALUES = ("text", "caption", "entity")
_FIRST_TOKENS = 20
"""As many as servers give; spellings of yes and no are summed over them."""
_MAX_TOKENS = 16
_YES_OR_NO = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
_OPENING = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


class ChatEntailerConfig(BackendConfig[Entailer]):
    """``llm``: the model's name; ``prompt``: a prompt's name or a ``.jinja`` file.

    ``threshold``: groundable from this probability on, in [0, 1]; where the server gives no
    log-probabilities the word decides.
    """

    stage: ClassVar[str] = "entail"
    name: ClassVar[str] = "chat"
    summary: ClassVar[str] = "yes or no by a vision-language model, with its probability"
    extra: ClassVar[str | None] = "chat"
    needs_image: ClassVar[bool] = True
    uses_labels: ClassVar[bool] = True
    whole_parts: ClassVar[bool] = True

    llm: str = "main"
    prompt: str = "entail/yes_no.v1"
    threshold: float = Field(default=0.5, ge=0.0, le=1.0)

    def build(self, context: BuildContext) -> ChatEntailer:
        """Reads the prompt and finds the model; nothing is asked yet.

        Raises:
            UserError: If there is no such model or prompt, or the prompt fits no mention.
        """
        return ChatEntailer(
            require_chat(context, self.stage, self.llm),
            read_prompt(self.prompt, context.base, constants=_CONSTANTS, values=_VALUES),
            labels=context.labels,
            threshold=self.threshold,
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digest of the prompt.

        Raises:
            UserError: As in building: found before the run.
        """
        prompt = read_prompt(self.prompt, base, constants=_CONSTANTS, values=_VALUES)
        return {"prompt": prompt.fingerprint}


class Verdict(NamedTuple):
    """What an answer says: the word (``None``: none was said), and P(yes) in [0, 1]."""

    says_yes: bool | None
    probability: float | None


class ChatEntailer:
    """Asks one question about each mention; the answer is a single word.

    Args:
        chat: The model.
        prompt: With a block ``user``, and ``system`` where it has one.
        labels: The types that the prompt tells of.
        threshold: Groundable from this probability on.
    """

    def __init__(
        self, chat: Chat, prompt: Prompt, *, labels: Sequence[Label], threshold: float = 0.5
    ) -> None:
        self._chat = chat
        self._prompt = prompt
        self._constants = {"labels": PromptValue(label_values(labels), "labels")}
        self._threshold = threshold

    def prepare(self, mentions: Sequence[Mention]) -> Sequence[PreparedRequest]:
        """The questions that :meth:`entail` would ask.

        Raises:
            UserError: If the prompt fails on one of them.
        """
        return [self._prepared(mention) for mention in mentions]

    def entail(self, mentions: Sequence[Mention]) -> Sequence[Entailment | Issue]:
        """Whether the image shows each mention."""
        answers = ask_about(self._chat, mentions, self._prepared)
        return [
            self._entailment(answer)
            if isinstance(answer, ChatAnswer)
            else issue_of("entail", mention.entity.id, answer)
            for mention, answer in zip(mentions, answers, strict=True)
        ]

    def _prepared(self, mention: Mention) -> PreparedRequest:
        sample, entity = mention.sample, mention.entity
        values = {**sample_values(sample), "entity": entity_value(entity)}
        request = Request(
            messages_of(self._prompt, self._constants, values, image_of(sample)),
            read_verdict,
            max_tokens=_MAX_TOKENS,
            first_tokens=_FIRST_TOKENS,
        )
        given = {**self._constants, **values}
        return PreparedRequest((sample.id, (entity.id,)), request, self._prompt.name, given)

    def _entailment(self, answer: ChatAnswer) -> Entailment:
        verdict: Verdict = answer.value
        after = RE_ASKED if answer.path == "re-asked" else ""
        if verdict.probability is None:
            return Entailment(None, bool(verdict.says_yes), WORD + after)
        probability = round(verdict.probability, 4)
        return Entailment(probability, probability >= self._threshold, LOG_PROBABILITY + after)


def read_verdict(response: Response) -> Verdict:
    """What an answer to a question of yes or no says.

    The first token tells P(yes) only where the answer begins with the word: behind other words its
    rivals are not yes and no.

    Raises:
        Unparsable: If it says neither, or both.
    """
    opening = _OPENING.match(response.text)
    if opening or not response.text.strip():
        probability = yes_probability(response.first_token)
        if opening or probability is not None:
            return Verdict(_is_yes(opening.group(1)) if opening else None, probability)
    said = {_is_yes(word) for word in _YES_OR_NO.findall(response.text)}
    if len(said) != 1:
        raise Unparsable("Answer with one word and nothing else: yes or no.")
    return Verdict(said.pop(), None)


def _is_yes(word: str) -> bool:
    return word.casefold() == "yes"
