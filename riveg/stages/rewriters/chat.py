"""Referring expressions by a language model, for all entities of a sample at once or each alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from string import Formatter
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import suggest
from riveg.llm.answer_text import one_line, phrase_of
from riveg.llm.conversation import (
    ChatAnswer,
    NoAnswer,
    Parser,
    PreparedRequest,
    PromptForm,
    PromptValue,
    Response,
    Unparsable,
)
from riveg.llm.prompt_parts import PromptParts
from riveg.protocols import AnswerOrIssue, Mention, Rewriter
from riveg.stages.chat_backend import (
    PromptedChat,
    PromptVariables,
    answer_form,
    label_constants,
    prompted_chat,
    sample_lines,
    source_of,
)
from riveg.stages.mentions import by_sample
from riveg.stages.rewriters.answers import (
    FORMS,
    MOST_OF_PHRASE,
    Appearance,
    answer_schema,
    read_appearances,
    read_bare_phrase,
    usable_appearances,
)
from riveg.stages.rewriters.echoes import echo_in, without_name
from riveg.stages.rewriters.template import TemplateRewriter, TemplateRewriterConfig
from riveg.types import Entity, Expression, Sample

NOT_VISIBLE = "not visible in any picture"
"""``description`` of an entity that no image could show; its expression is then its own text, so
that later stages have words for it."""

PARTIAL = "chat:partial"
"""``source`` of an expression from a response that was refused because of other entities."""

FALLBACK = "template:fallback"
"""``source`` of an expression that the template wrote because the model had no answer."""

Batch = Literal["sample", "entity"]

_MOST_AT_ONCE = 12
"""Entities in one request; a sample with more has several requests, so that answers stay short."""

_VARIABLES = PromptVariables(
    ("batch", "labels"), ("text", "caption", "knowledge", "entities", "others")
)
_FORM_FIELDS = ("mention", "label", "expression")


class ChatRewriterConfig(BackendConfig[Rewriter]):
    """``llm``: the model's name; ``prompt``: a prompt's name or a ``.jinja`` file.

    ``prompt_form``: how the prompt is sent: ``chat``, ``turns`` (each example as a turn of its own)
    or ``completion`` (a text to be continued to its line's end), the latter two for small models;
    ``batch``: all names of a sample in one request, or one request a name; ``form``: the expression
    that later stages read, of ``{expression}``, ``{mention}`` and ``{label}``; ``fallback``: what
    happens where the model has no answer, an Issue or the template's expression; ``max_tokens``:
    of the answer about one name.
    """

    stage: ClassVar[str] = "rewrite"
    name: ClassVar[str] = "chat"
    summary: ClassVar[str] = "a phrase and a description of how it looks, by a language model"
    extra: ClassVar[str | None] = "chat"
    uses_labels: ClassVar[bool] = True
    whole_parts: ClassVar[bool] = True
    code_revision: ClassVar[int] = 2

    llm: str = "main"
    prompt: str = "rewrite/visual.v1"
    prompt_form: PromptForm = "chat"
    batch: Batch = "sample"
    form: str = "{expression}"
    fallback: Literal["none", "template"] = "none"
    max_tokens: int = Field(default=192, ge=1)

    @field_validator("form")
    @classmethod
    def _known_fields(cls, value: str) -> str:
        fields = [field for _, field, _, _ in Formatter().parse(value) if field is not None]
        for field in fields:
            if field not in _FORM_FIELDS:
                raise ValueError(f"no field {field!r}; {suggest(field, _FORM_FIELDS)}")
        if "expression" not in fields:
            raise ValueError("it has to hold {expression}")
        return value

    def build(self, context: BuildContext) -> ChatRewriter:
        """Reads the prompt and finds the model; nothing is asked yet.

        Raises:
            UserError: If there is no such model or prompt, or the prompt fits no mention.
        """
        constants = {
            "batch": PromptValue(self.batch, "rewrite.batch"),
            **label_constants(context.labels),
        }
        template = self._template()
        return ChatRewriter(
            prompted_chat(self, context, _VARIABLES, constants, self.prompt_form),
            batch=self.batch,
            form=self.form,
            fallback=None if template is None else template.build(context),
            max_tokens=self.max_tokens,
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the prompt and of the fallback's.

        Raises:
            UserError: If the prompt fits no mention: that is found before the run.
        """
        prompt = _VARIABLES.read(self.prompt, base)
        answer_form(prompt, FORMS)
        template = self._template()
        fallback = {} if template is None else template.contents(base)
        return {
            "prompt": prompt.fingerprint,
            **{f"fallback {name}": digest for name, digest in fallback.items()},
        }

    def _template(self) -> TemplateRewriterConfig | None:
        return TemplateRewriterConfig() if self.fallback == "template" else None


class ChatRewriter:
    """Asks about each sample, and joins the answers to the mentions by entity id.

    A sample's requests depend on the sample alone, not on which of its mentions are asked about.

    Args:
        chat: The model with its prompt, whose block ``answer`` names the form of the answer.
        batch: All entities of a sample in one request, or one request an entity.
        form: How expression, mention and label make the text that later stages read.
        fallback: Writes the expression where the model has no answer.
        max_tokens: Of the answer about one entity.

    Raises:
        UserError: If the prompt names no form of answer.
    """

    def __init__(
        self,
        chat: PromptedChat,
        *,
        batch: Batch = "sample",
        form: str = "{expression}",
        fallback: TemplateRewriter | None = None,
        max_tokens: int = 192,
    ) -> None:
        self._chat = chat
        self.answer_form = answer_form(chat.prompt, FORMS)
        self._batch = batch
        self._form = form
        self._fallback = fallback
        self._max_tokens = max_tokens

    @property
    def is_bare(self) -> bool:
        """Whether an answer is the words about one entity themselves."""
        return self.answer_form.is_bare and self._batch == "entity"

    def prepare(self, mentions: Sequence[Mention]) -> Sequence[PreparedRequest]:
        """The requests that :meth:`rewrite` sends, in its order.

        Raises:
            UserError: If the prompt fails on one of them.
        """
        return [self._prepared(sample, group) for sample, group in self._groups(mentions)]

    def rewrite(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[Expression]]:
        """Phrase and description of each mention; else the template's phrase, or an Issue."""
        groups = self._groups(mentions)
        answers = self._chat.ask(groups, lambda group: self._prepared(*group))
        found = {
            (id(sample), entity_id): appearance
            for (sample, entities), answer in zip(groups, answers, strict=True)
            for entity_id, appearance in self._appearances(sample, entities, answer).items()
        }
        return [
            self._expression(mention, found[id(mention.sample), mention.entity.id])
            for mention in mentions
        ]

    def _groups(self, mentions: Sequence[Mention]) -> list[tuple[Sample, tuple[Entity, ...]]]:
        """What each request is about: the sample with the entities asked about together."""
        groups: list[tuple[Sample, tuple[Entity, ...]]] = []
        for sample, together in by_sample(mentions):
            if self._batch == "sample":
                entities, size = sample.entities or (), _MOST_AT_ONCE
            else:
                entities, size = tuple(mention.entity for mention in together), 1
            starts = range(0, len(entities), size)
            groups += [(sample, entities[start : start + size]) for start in starts]
        return groups

    def _prepared(self, sample: Sample, entities: tuple[Entity, ...]) -> PreparedRequest:
        ids = tuple(entity.id for entity in entities)
        is_bare = self.is_bare
        values = _values(sample, entities)
        read: Parser = (
            read_bare_phrase
            if is_bare
            else partial(read_appearances, ids=ids, form=self.answer_form)
        )
        return self._chat.prepare(
            sample,
            entities,
            values,
            partial(_read_no_echo, read=read, entities=entities, parts=self._chat.parts(values)),
            schema=None if is_bare else answer_schema(ids, self.answer_form),
            max_tokens=self._max_tokens * len(ids),
        )

    def _appearances(
        self, sample: Sample, entities: Sequence[Entity], answer: ChatAnswer | NoAnswer
    ) -> Mapping[str, tuple[Appearance, str] | NoAnswer]:
        """How each entity looks and the source of that, by id."""
        ids = [entity.id for entity in entities]
        if isinstance(answer, ChatAnswer):
            # A bare phrase is about one entity and names no id.
            is_bare = isinstance(answer.value, Appearance)
            read = {ids[0]: answer.value} if is_bare else answer.value
            return {name: (read[name], source_of(answer)) for name in ids}
        if answer.response is None:
            return dict.fromkeys(ids, answer)
        parts = self._chat.parts(_values(sample, entities))
        usable = usable_appearances(answer.response, ids, self.answer_form)
        return {
            entity.id: _usable(usable.get(entity.id), entity, parts) or answer
            for entity in entities
        }

    def _expression(
        self, mention: Mention, found: tuple[Appearance, str] | NoAnswer
    ) -> AnswerOrIssue[Expression]:
        if isinstance(found, NoAnswer):
            return self._fallback_expression(mention) or self._chat.issue(mention, found)
        entity = mention.entity
        appearance, source = found
        if appearance.phrase is None:
            return Expression(entity.text, NOT_VISIBLE, source)
        text = self._form.format(
            expression=appearance.phrase, mention=one_line(entity.text), label=entity.label
        )
        return Expression(text, appearance.description, source)

    def _fallback_expression(self, mention: Mention) -> Expression | None:
        if self._fallback is None:
            return None
        (written,) = self._fallback.rewrite([mention])
        if not isinstance(written, Expression):
            return None
        return Expression(written.text, written.description, FALLBACK)


def _read_no_echo(
    response: Response, *, read: Parser, entities: Sequence[Entity], parts: PromptParts
) -> Appearance | Mapping[str, Appearance]:
    """What a parser makes of a response.

    Raises:
        Unparsable: If the parser does, or an entity's phrase is an echo of the request.
    """
    found: Appearance | Mapping[str, Appearance] = read(response)
    if isinstance(found, Appearance):
        (entity,) = entities
        return _without_echo(found, entity, parts)
    own: dict[str, Appearance] = {}
    for entity in entities:
        try:
            own[entity.id] = _without_echo(found[entity.id], entity, parts)
        except Unparsable as fault:
            raise type(fault)(f"In {entity.id!r}: {fault}.") from fault
    return own


def _usable(
    look: Appearance | None, entity: Entity, parts: PromptParts
) -> tuple[Appearance, str] | None:
    try:
        return None if look is None else (_without_echo(look, entity, parts), PARTIAL)
    except Unparsable:
        return None


def _without_echo(look: Appearance, entity: Entity, parts: PromptParts) -> Appearance:
    """The same without the question's name before it.

    Raises:
        Unparsable: If the phrase is an echo of the request, or no phrase without the name.
    """
    if look.phrase is None:
        return look
    phrase = without_name(look.phrase, entity)
    if phrase != look.phrase:
        phrase = phrase_of(phrase, "the phrase", MOST_OF_PHRASE)
    if fault := echo_in(phrase, entity, parts):
        raise Unparsable(fault)
    return replace(look, phrase=phrase)


def _values(sample: Sample, asked: Sequence[Entity]) -> dict[str, PromptValue]:
    ids = {entity.id for entity in asked}
    others = [entity for entity in sample.entities or () if entity.id not in ids]
    return {
        **sample_lines(sample),
        "knowledge": PromptValue(one_line(sample.knowledge or ""), "sample.knowledge"),
        "entities": PromptValue(tuple(map(_entity_value, asked)), "sample.entities"),
        "others": PromptValue(tuple(map(_entity_value, others)), "sample.entities"),
    }


def _entity_value(entity: Entity) -> dict[str, str]:
    return {
        "id": entity.id,
        "text": one_line(entity.text),
        "label": entity.label,
        "fine_label": entity.fine_label or "",
    }
