"""Uncertain labels are decided by a vision-language model, after GEM.

The tagger's label distribution p of a mention shows how certain the tagger was. Where the entropy
``-sum p ln p`` is above ``gamma``, the model is given the sample with the mention's words marked,
the image, and the most probable labels, and names one of them. Where the system's labels have fine
ones, these are what is decided, and the label is the one that the fine label belongs to.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.labels import Levels
from riveg.llm.borders import MARK
from riveg.llm.conversation import (
    ChatAnswer,
    NoAnswer,
    PreparedRequest,
    PromptValue,
    Refused,
    Unparsable,
)
from riveg.protocols import AnswerOrIssue, Mention, PartialAnswer, Ranking, Reranker
from riveg.stages.chat_backend import (
    PromptedChat,
    PromptVariables,
    entity_value,
    label_constants,
    prompted_chat,
    sample_values,
)
from riveg.stages.rerankers.answers import answer_schema, read_label
from riveg.types import Entity, Issue, Sample

UNMATCHED_LABEL = "unmatched-label"
"""Kind of the Issue beside a label that is the tagger's, because the answer named no candidate."""

_MARK = "&&"
_MARK_BEHIND = " (&&)"
_OWN_MARK = re.compile("&(?=&)")
_VARIABLES = PromptVariables(
    ("labels",), ("text", "marked_text", "marked_behind", "caption", "entity", "candidates")
)


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
            prompted_chat(self, context, _VARIABLES, label_constants(context.labels)),
            labels={label.name: label.fine for label in context.labels},
            gamma=self.gamma,
            candidates=self.candidates,
            max_tokens=self.max_tokens,
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        return _VARIABLES.contents(self.prompt, base)


class ChatReranker:
    """Asks about the mentions whose labels are uncertain; the others keep the tagger's label.

    Where the tagger gives no label distribution, every mention is asked about, with the system's
    labels as candidates.

    Args:
        chat: The model with its prompt.
        labels: The system's labels with their fine ones.
        gamma: Entropy in nats above which a mention is asked about.
        candidates: Highest number of candidates, the most probable first.
        max_tokens: Of the answer.
    """

    def __init__(
        self,
        chat: PromptedChat,
        *,
        labels: Levels,
        gamma: float = 0.2,
        candidates: int = 5,
        max_tokens: int = 64,
    ) -> None:
        self._chat = chat
        self._labels = labels
        self._label_of = {fine: label for label, below in labels.items() for fine in below}
        self._gamma = gamma
        self._count = candidates
        self._max_tokens = max_tokens

    def prepare(self, mentions: Sequence[Mention]) -> Sequence[PreparedRequest]:
        """The requests that :meth:`rerank` sends; none about mentions whose labels are certain.

        Raises:
            UserError: If the prompt fails on one of them.
        """
        return [self._prepared(mention) for mention in mentions if self._is_asked(mention.entity)]

    def rerank(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[Ranking]]:
        """The label of each mention; the tagger's label distributions are kept as they are."""
        asked = [mention for mention in mentions if self._is_asked(mention.entity)]
        answers = iter(self._chat.answer(asked, self._prepared, self._chosen, self._kept_label))
        return [
            next(answers)
            if self._is_asked(mention.entity)
            else self._ranking(mention.entity, self._said(mention.entity))
            for mention in mentions
        ]

    def _scores(self, entity: Entity) -> Mapping[str, float] | None:
        """The distribution of the level that is decided."""
        return entity.fine_label_scores if self._label_of else entity.label_scores

    def _said(self, entity: Entity) -> str | None:
        """The label that the entity has on that level."""
        return entity.fine_label if self._label_of else entity.label

    def _ranking(self, entity: Entity, chosen: str | None) -> Ranking:
        if not self._label_of:
            return Ranking(chosen or entity.label, entity.label_scores)
        label = self._label_of.get(chosen or "", entity.label)
        return Ranking(label, entity.label_scores, chosen, entity.fine_label_scores)

    def _is_asked(self, entity: Entity) -> bool:
        if len(self._candidates(entity)) < 2:
            return False
        scores = self._scores(entity)
        return scores is None or entropy(scores) > self._gamma

    def _candidates(self, entity: Entity) -> tuple[str, ...]:
        scores, said = self._scores(entity), self._said(entity)
        if scores:
            return _by_probability(scores)[: self._count]
        own = () if said is None else (said,)
        return tuple(dict.fromkeys((*own, *(self._label_of or self._labels))))

    def _prepared(self, mention: Mention) -> PreparedRequest:
        sample, entity = mention.sample, mention.entity
        candidates = self._candidates(entity)
        values = {
            **sample_values(sample),
            "marked_text": PromptValue(marked_text(sample, entity), "sample.tokens, entity.span"),
            "marked_behind": PromptValue(
                marked_behind(sample, entity), "sample.tokens, entity.span"
            ),
            "entity": entity_value(entity),
            "candidates": PromptValue(
                candidates, "entity.fine_label_scores" if self._label_of else "entity.label_scores"
            ),
        }
        return self._chat.prepare(
            sample,
            (entity,),
            values,
            partial(read_label, candidates=candidates),
            shows_image=True,
            schema=answer_schema(candidates),
            max_tokens=self._max_tokens,
        )

    def _kept_label(self, mention: Mention, answer: NoAnswer) -> AnswerOrIssue[Ranking]:
        if answer.kind not in {Unparsable.kind, Refused.kind}:
            return self._chat.issue(mention, answer)
        # GEM does not say what happens then; here the tagger's most probable label stays.
        scores = self._scores(mention.entity)
        label = _by_probability(scores)[0] if scores else self._said(mention.entity)
        message = f"the answer names no candidate, the label stays {label}: {answer.message}"
        issue = Issue("rerank", mention.entity.id, UNMATCHED_LABEL, message)
        return PartialAnswer(self._ranking(mention.entity, label), (issue,))

    def _chosen(self, mention: Mention, answer: ChatAnswer) -> Ranking:
        return self._ranking(mention.entity, str(answer.value))


def entropy(scores: Mapping[str, float]) -> float:
    """Of a distribution, in nats.

    >>> entropy({"PER": 1.0, "LOC": 0.0})
    0.0
    """
    return sum(-score * math.log(score) for score in scores.values() if score > 0) + 0.0


def marked_text(sample: Sample, entity: Entity) -> str:
    """The sample with ``&&`` before each token of the entity; its own ``&&`` becomes ``&·&``."""
    starts = [start for start, _ in sample.offsets[entity.span.start : entity.span.end]]
    edges = pairwise((0, *starts, len(sample.text)))
    return _MARK.join(_OWN_MARK.sub(f"&{MARK}", sample.text[start:end]) for start, end in edges)


def marked_behind(sample: Sample, entity: Entity) -> str:
    """The sample with ``(&&)`` behind each token of the entity; its own ``&&`` becomes ``&·&``."""
    ends = [end for _, end in sample.offsets[entity.span.start : entity.span.end]]
    edges = pairwise((0, *ends, len(sample.text)))
    return _MARK_BEHIND.join(
        _OWN_MARK.sub(f"&{MARK}", sample.text[start:end]) for start, end in edges
    )


def _by_probability(scores: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(sorted(scores, key=lambda name: (-scores[name], name)))
