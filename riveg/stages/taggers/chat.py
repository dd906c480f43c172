"""Entities by a language model, with labels of the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.llm.conversation import (
    ChatAnswer,
    NoAnswer,
    PreparedRequest,
    PromptValue,
    Unparsable,
)
from riveg.protocols import AnswerOrIssue, Tagger
from riveg.reads import Reads, reads
from riveg.stages.chat_backend import (
    PromptedChat,
    PromptVariables,
    label_constants,
    prompted_chat,
    sample_values,
    whole_response,
)
from riveg.stages.named_spans import BAD_ENTITY, LabelledSpan, with_faults
from riveg.stages.taggers.answers import EntityReader, Reading
from riveg.text.spans import span_text
from riveg.types import Entity, Sample

_VARIABLES = PromptVariables(("labels",), ("text", "caption", "knowledge"))


class ChatTaggerConfig(BackendConfig[Tagger]):
    """``llm``: the model's name; ``prompt``: a prompt's name or a ``.jinja`` file.

    ``most_entities``: of one sample, so that an answer ends; ``max_tokens``: of the answer; one
    that is cut off there is an Issue, never half a list.
    """

    stage: ClassVar[str] = "tag"
    name: ClassVar[str] = "chat"
    summary: ClassVar[str] = "a language model that is told the types, also your own"
    extra: ClassVar[str | None] = "chat"
    uses_labels: ClassVar[bool] = True
    whole_parts: ClassVar[bool] = True

    llm: str = "main"
    prompt: str = "tag/entities.v1"
    most_entities: int = Field(default=40, ge=1)
    max_tokens: int = Field(default=1024, ge=1)

    def reads(self) -> Reads:
        return reads("text caption knowledge")

    def build(self, context: BuildContext) -> ChatTagger:
        """Reads the prompt and finds the model; nothing is asked yet.

        Raises:
            UserError: If there is no such model or prompt, or the prompt fits no sample.
        """
        return ChatTagger(
            prompted_chat(self, context, _VARIABLES, label_constants(context.labels)),
            EntityReader(tuple(label.name for label in context.labels), self.most_entities),
            max_tokens=self.max_tokens,
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        return _VARIABLES.contents(self.prompt, base)


class ChatTagger:
    """Asks one question about each sample.

    An answer with faults is asked for again, with the faults shown. If some are left then, the
    entities without fault are kept, and each fault is an Issue beside them.

    Args:
        chat: The model with its prompt.
        reader: Reads the entities from a response.
        max_tokens: Of the answer.
    """

    def __init__(self, chat: PromptedChat, reader: EntityReader, *, max_tokens: int = 1024) -> None:
        self._chat = chat
        self._reader = reader
        self._schema = reader.schema
        self._max_tokens = max_tokens

    def prepare(self, samples: Sequence[Sample]) -> Sequence[PreparedRequest]:
        """The requests that :meth:`tag` sends.

        Raises:
            UserError: If the prompt fails on one of them.
        """
        return [self._prepared(sample) for sample in samples]

    def tag(self, samples: Sequence[Sample]) -> Sequence[AnswerOrIssue[tuple[Entity, ...]]]:
        """The entities of each sample, without scores: a language model's would mean nothing."""
        return self._chat.answer(samples, self._prepared, self._read, self._read_refused)

    def _prepared(self, sample: Sample) -> PreparedRequest:
        knowledge = PromptValue(sample.knowledge or "", "sample.knowledge")
        return self._chat.prepare(
            sample,
            (),
            {**sample_values(sample), "knowledge": knowledge},
            partial(self._reader.read_faultless, sample=sample),
            schema=self._schema,
            max_tokens=self._max_tokens,
        )

    def _read(self, sample: Sample, answer: ChatAnswer) -> AnswerOrIssue[tuple[Entity, ...]]:
        # Two samples of the same words share one request, and their tokens may differ: so the
        # response is read for each sample, instead of taking the value read for the first.
        return _entities(sample, self._reader.read(answer.response, sample=sample))

    def _read_refused(self, sample: Sample, answer: NoAnswer) -> AnswerOrIssue[tuple[Entity, ...]]:
        """What can be kept of a response whose faults are left after the last re-ask."""
        issue = self._chat.issue(sample, answer)
        response = whole_response(answer)
        if response is None:
            return issue
        try:
            reading = self._reader.read(response, sample=sample)
        except Unparsable:
            return issue
        is_list = reading.entities or all(fault.kind != BAD_ENTITY for fault in reading.faults)
        return _entities(sample, reading) if reading.faults and is_list else issue


def _entities(sample: Sample, reading: Reading) -> AnswerOrIssue[tuple[Entity, ...]]:
    entities = tuple(_entity(sample, one, number) for number, one in enumerate(reading.entities))
    return with_faults("tag", entities, reading.faults, reading.losses, is_empty=not entities)


def _entity(sample: Sample, one: LabelledSpan, number: int) -> Entity:
    text = span_text(sample.text, sample.offsets, one.span)
    return Entity(f"e{number}", text, one.label, one.span)
