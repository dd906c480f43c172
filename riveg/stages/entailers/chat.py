"""Entailment by a vision-language model: whether the image shows an entity, and how probable."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.llm.answer_marks import without_markup
from riveg.llm.conversation import ChatAnswer, PreparedRequest, Refused, Response, Unparsable
from riveg.llm.json_answers import yes_probability
from riveg.llm.refusals import refuses
from riveg.protocols import AnswerOrIssue, Entailer, Mention
from riveg.reads import NAMED, Reads, reads
from riveg.stages.chat_backend import (
    PromptedChat,
    PromptVariables,
    entity_value,
    label_constants,
    prompted_chat,
    sample_values,
)
from riveg.types import Entailment

LOG_PROBABILITY = "chat:log-probability"
"""``source`` where the first token's log-probabilities gave the probability."""
WORD = "chat:word"
"""``source`` where the server gives none: the word decides, and there is no probability."""
RE_ASKED = ":re-asked"
"""Follows either where the model was shown the fault of an earlier response."""

_VARIABLES = PromptVariables(("labels",), ("text", "caption", "entity"))
_FIRST_TOKENS = 20
"""The highest number that servers give; spellings of yes and no are summed over them."""
_MAX_TOKENS = 16
_ASK = "Answer with one word and nothing else: yes or no."
_ALONE = r"(?=[^\S\n]*(?:\Z|[\n,.;:!)\"'\u2019\u201d*\u2013\u2014-]))"
"""Follows a "no" that is a word of its own; "no doubt" and "no idea" say something else."""
_YES_OR_NO = re.compile(rf"(?<!\bnot )(?<!\bnot a )\b(yes\b|no\b{_ALONE})", re.IGNORECASE)
_OPENING = re.compile(rf"\W*(yes\b|no\b{_ALONE})", re.IGNORECASE)
_BOTH = re.compile(
    r"\byes\W*(?:and|or|[/&|])\W*no\b|\bno\W*(?:and|or|[/&|])\W*yes\b", re.IGNORECASE
)


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

    def reads(self) -> Reads:
        return reads("text caption image", entity=NAMED)

    def build(self, context: BuildContext) -> ChatEntailer:
        """Reads the prompt and finds the model; nothing is asked yet.

        Raises:
            UserError: If there is no such model or prompt, or the prompt fits no mention.
        """
        return ChatEntailer(
            prompted_chat(self, context, _VARIABLES, label_constants(context.labels)),
            threshold=self.threshold,
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        return _VARIABLES.contents(self.prompt, base)


class YesNo(NamedTuple):
    """What a response says: the word, and P(yes) in [0, 1]; ``None`` where it lacks one of them."""

    says_yes: bool | None
    probability: float | None


class ChatEntailer:
    """Asks one question about each mention; the answer is a single word.

    Args:
        chat: The model with its prompt.
        threshold: Groundable from this probability on.
    """

    def __init__(self, chat: PromptedChat, *, threshold: float = 0.5) -> None:
        self._chat = chat
        self._threshold = threshold

    def prepare(self, mentions: Sequence[Mention]) -> Sequence[PreparedRequest]:
        """The requests that :meth:`entail` sends.

        Raises:
            UserError: If the prompt fails on one of them.
        """
        return [self._prepared(mention) for mention in mentions]

    def entail(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[Entailment]]:
        """Whether the image shows each mention."""
        return self._chat.answer(mentions, self._prepared, self._entailment)

    def _prepared(self, mention: Mention) -> PreparedRequest:
        sample, entity = mention.sample, mention.entity
        return self._chat.prepare(
            sample,
            (entity,),
            {**sample_values(sample), "entity": entity_value(entity)},
            read_yes_no,
            shows_image=True,
            max_tokens=_MAX_TOKENS,
            first_tokens=_FIRST_TOKENS,
        )

    def _entailment(self, _mention: Mention, answer: ChatAnswer) -> Entailment:
        word: YesNo = answer.value
        ending = RE_ASKED if answer.path == "re-asked" else ""
        if word.probability is None:
            return Entailment(None, bool(word.says_yes), WORD + ending)
        probability = round(word.probability, 4)
        return Entailment(probability, probability >= self._threshold, LOG_PROBABILITY + ending)


def read_yes_no(response: Response) -> YesNo:
    """What a response to a yes-or-no question says.

    The first token gives P(yes) only where the response begins with yes or no: elsewhere the other
    likely first tokens are not yes and no.

    Raises:
        Refused: If it refuses, whatever other words are in it.
        Unparsable: If it says neither, or both.
    """
    text = without_markup(response.text)
    if _BOTH.search(text):
        raise Unparsable(_ASK)
    opening = _OPENING.match(text)
    if opening or not text:
        probability = yes_probability(response.first_token)
        if opening or probability is not None:
            return YesNo(_is_yes(opening.group(1)) if opening else None, probability)
    if refuses(text):
        raise Refused(_ASK)
    words = {_is_yes(word) for word in _YES_OR_NO.findall(text)}
    if len(words) != 1:
        raise Unparsable(_ASK)
    return YesNo(words.pop(), None)


def _is_yes(word: str) -> bool:
    return word.casefold() == "yes"
