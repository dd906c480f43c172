"""A second look at uncertain types by a vision-language model, after GEM.

Of each mention the tagger's label distribution p tells how sure it was: where the entropy
``-sum p ln p`` is above ``gamma``, the model is shown the sample with the mention's words marked,
the image, and the likeliest types, and names one of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.labels import Label
from riveg.llm.conversation import (
    Chat,
    ChatAnswer,
    NoAnswer,
    PreparedRequest,
    PromptValue,
    Request,
    Response,
    Unparsable,
)
from riveg.llm.json_answers import parse_json
from riveg.llm.prompts import Prompt
from riveg.protocols import Mention, PartialAnswer, Ranking, Reranker
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
from riveg.types import Entity, Issue, Sample

UNMATCHED_LABEL = "unmatched-label"
"""Kind of the Issue beside a label that is the tagger's, because the answer named no candidate."""

_MARK = "&&"
_CONSTANTS = ("labels",)
_VALUES = ("text", "marked_text", "caption", "entity", "candidates")
_SAID = {
    "type": "object",
    "properties": {"label": {"type": "string"}},
    "required": ["label"],
}
"""What is read from any answer; the server is asked for one of the candidates."""


class ChatRerankerConfig(BackendConfig[Reranker]):
    """``llm``: the model's name; ``prompt``: a prompt's name or a ``.jinja`` file.

    ``gamma``: entropy in nats from which on the model is asked; ``candidates``: at most so many of
    the likeliest types are offered; ``max_tokens``: of the answer.
    """

    stage: ClassVar[str] = "rerank"
    name: ClassVar[str] = "chat"
    summary: ClassVar[str] = "types that the tagger was unsure of, by a vision-language model"
    extra: ClassVar[str | None] = "chat"
    needs_image: ClassVar[bool] = True
    uses_labels: ClassVar[bool] = True
    whole_parts: ClassVar[bool] = True

    llm: str = "main"
    prompt: str = "rerank/gem.v1"
    gamma: float = Field(default=0.2, ge=0)
    candidates: int = Field(default=5, ge=2)
    max_tokens: int = Field(default=64, ge=1)

    def build(self, context: BuildContext) -> ChatReranker:
        """Reads the prompt and finds the model; nothing is asked yet.

        Raises:
            UserError: If there is no such model or prompt, or the prompt fits no mention.
        """
        return ChatReranker(
            require_chat(context, self.stage, self.llm),
            read_prompt(self.prompt, context.base, constants=_CONSTANTS, values=_VALUES),
            labels=context.labels,
            gamma=self.gamma,
            candidates=self.candidates,
            max_tokens=self.max_tokens,
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digest of the prompt.

        Raises:
            UserError: As in building: found before the run.
        """
        prompt = read_prompt(self.prompt, base, constants=_CONSTANTS, values=_VALUES)
        return {"prompt": prompt.fingerprint}


class ChatReranker:
    """Asks about the mentions that the tagger was unsure of; the rest keep their label unasked.

    A tagger that gives no distribution leaves nothing to be sure by: its mentions are all asked
    about, with the system's types as candidates.

    Args:
        chat: The model.
        prompt: With a block ``user``, and ``system`` where it has one.
        labels: The types that the prompt tells of.
        gamma: Entropy in nats above which a mention is asked about.
        candidates: At most so many types are offered, the likeliest first.
        max_tokens: Of the answer.
    """

    def __init__(
        self,
        chat: Chat,
        prompt: Prompt,
        *,
        labels: Sequence[Label],
        gamma: float = 0.2,
        candidates: int = 5,
        max_tokens: int = 64,
    ) -> None:
        self._chat = chat
        self._prompt = prompt
        self._labels = tuple(label.name for label in labels)
        self._constants = {"labels": PromptValue(label_values(labels), "labels")}
        self._gamma = gamma
        self._count = candidates
        self._max_tokens = max_tokens

    def prepare(self, mentions: Sequence[Mention]) -> Sequence[PreparedRequest]:
        """The questions that :meth:`rerank` would ask; none about the mentions below the gate.

        Raises:
            UserError: If the prompt fails on one of them.
        """
        return [self._prepared(mention) for mention in mentions if self._is_asked(mention.entity)]

    def rerank(
        self, mentions: Sequence[Mention]
    ) -> Sequence[Ranking | PartialAnswer[Ranking] | Issue]:
        """The label of each mention, with the tagger's distribution as it was."""
        asked = [mention for mention in mentions if self._is_asked(mention.entity)]
        answers = iter(ask_about(self._chat, asked, self._prepared))
        return [
            _ranking(mention.entity, next(answers))
            if self._is_asked(mention.entity)
            else Ranking(mention.entity.label, mention.entity.label_scores)
            for mention in mentions
        ]

    def _is_asked(self, entity: Entity) -> bool:
        if len(self._candidates(entity)) < 2:
            return False
        return entity.label_scores is None or entropy(entity.label_scores) > self._gamma

    def _candidates(self, entity: Entity) -> tuple[str, ...]:
        if entity.label_scores:
            return _likeliest(entity.label_scores)[: self._count]
        return tuple(dict.fromkeys((entity.label, *self._labels)))

    def _prepared(self, mention: Mention) -> PreparedRequest:
        sample, entity = mention.sample, mention.entity
        candidates = self._candidates(entity)
        values = {
            **sample_values(sample),
            "marked_text": PromptValue(marked_text(sample, entity), "sample.tokens, entity.span"),
            "entity": entity_value(entity),
            "candidates": PromptValue(candidates, "entity.label_scores"),
        }
        request = Request(
            messages_of(self._prompt, self._constants, values, image_of(sample)),
            partial(read_label, candidates=candidates),
            schema=_schema(candidates),
            max_tokens=self._max_tokens,
        )
        given = {**self._constants, **values}
        return PreparedRequest((sample.id, (entity.id,)), request, self._prompt.name, given)


def entropy(scores: Mapping[str, float]) -> float:
    """Of a distribution, in nats.

    >>> entropy({"PER": 1.0, "LOC": 0.0})
    0.0
    """
    return sum(-score * math.log(score) for score in scores.values() if score > 0) + 0.0


def marked_text(sample: Sample, entity: Entity) -> str:
    """The sample with ``&&`` before each token of the entity."""
    text = sample.text
    for start, _ in reversed(sample.offsets[entity.span.start : entity.span.end]):
        text = text[:start] + _MARK + text[start:]
    return text


def read_label(response: Response, *, candidates: Sequence[str]) -> str:
    """The one candidate that an answer names, as JSON or in words.

    Raises:
        Unparsable: If it names none, or several.
    """
    try:
        said = str(parse_json(response, _SAID)["label"]).strip()
    except Unparsable:
        said = response.text
    named = _named(said, candidates)
    if len(named) != 1:
        raise Unparsable(f"Answer with exactly one of the candidates: {', '.join(candidates)}.")
    return named.pop()


def _named(said: str, candidates: Sequence[str]) -> set[str]:
    if said in candidates:
        return {said}
    named: set[str] = set()
    # Longer names first, and taken out when found: one may be a part of another.
    for candidate in sorted(candidates, key=len, reverse=True):
        said, count = re.subn(
            rf"(?<!\w){re.escape(candidate)}(?!\w)", "\n", said, flags=re.IGNORECASE
        )
        if count:
            named.add(candidate)
    return named


def _likeliest(scores: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(sorted(scores, key=lambda name: (-scores[name], name)))


def _schema(candidates: Sequence[str]) -> dict[str, Any]:
    return {
        **_SAID,
        "properties": {"label": {"type": "string", "enum": list(candidates)}},
        "additionalProperties": False,
    }


def _ranking(
    entity: Entity, answer: ChatAnswer | NoAnswer
) -> Ranking | PartialAnswer[Ranking] | Issue:
    scores = entity.label_scores
    if isinstance(answer, ChatAnswer):
        return Ranking(str(answer.value), scores)
    if answer.kind != "unparsable-answer":
        return issue_of("rerank", entity.id, answer)
    # What GEM leaves open: an answer that matches no candidate leaves the tagger's favourite.
    favourite = _likeliest(scores)[0] if scores else entity.label
    message = f"the answer names no candidate, the label stays {favourite}: {answer.message}"
    return PartialAnswer(
        Ranking(favourite, scores), (Issue("rerank", entity.id, UNMATCHED_LABEL, message),)
    )
