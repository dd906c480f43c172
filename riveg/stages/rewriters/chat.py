"""Referring expressions by a language model, for all names of a sample at once or one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from string import Formatter
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from riveg.config.backend import BackendConfig, BuildContext
from riveg.labels import Label
from riveg.llm.answer_text import one_line
from riveg.llm.conversation import Chat, ChatAnswer, NoAnswer, PreparedRequest, PromptValue, Request
from riveg.llm.messages import require_conversation
from riveg.llm.prompts import Prompt, load_prompt
from riveg.protocols import Mention, Rewriter
from riveg.registry import suggest
from riveg.stages.chat_backend import (
    answer_form_name,
    ask_about,
    by_sample,
    issue_of,
    label_values,
    messages_of,
    require_chat,
    source_of,
)
from riveg.stages.rewriters.answers import (
    FORMS,
    AnswerForm,
    Look,
    answer_schema,
    read_bare_phrase,
    read_looks,
    usable_looks,
)
from riveg.stages.rewriters.template import TemplateRewriter, TemplateRewriterConfig
from riveg.types import Entity, Expression, Issue, Sample

NOT_VISIBLE = "not visible in any picture"
"""``description`` of an entity of which no image could show anything; its expression is then the
name as it stands, so that later stages have words for it."""

PARTIAL = "chat:partial"
"""``source`` of an expression from an answer that was given up for what it said of other names."""

FALLBACK = "template:fallback"
"""``source`` of an expression that the template wrote because the model had no answer."""

Batch = Literal["sample", "entity"]

_MOST_AT_ONCE = 12
"""Names in one request; a sample with more has several, so that an answer stays short enough."""

_CONSTANTS = ("batch", "labels")
_VALUES = ("text", "caption", "knowledge", "entities", "others")
_FORM_FIELDS = ("mention", "label", "expression")


class ChatRewriterConfig(BackendConfig[Rewriter]):
    """``llm``: the model's name; ``prompt``: a prompt's name or a ``.jinja`` file.

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

    llm: str = "main"
    prompt: str = "rewrite/visual.v1"
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
        return ChatRewriter(
            require_chat(context, self.stage, self.llm),
            load_prompt(self.prompt, folder=context.base),
            labels=context.labels,
            batch=self.batch,
            form=self.form,
            fallback=_template().build(context) if self.fallback == "template" else None,
            max_tokens=self.max_tokens,
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the prompt and of the fallback's.

        Raises:
            UserError: If the prompt fits no mention: that is found before the run.
        """
        prompt = load_prompt(self.prompt, folder=base)
        answer_form(prompt)
        fallback = dict(_template().contents(base)) if self.fallback == "template" else {}
        return {
            "prompt": prompt.fingerprint,
            **{f"fallback {name}": digest for name, digest in fallback.items()},
        }


class ChatRewriter:
    """Asks about each sample, and joins what was said to the mentions by entity id.

    A sample's questions depend on the sample alone, not on which of its mentions are asked about.

    Args:
        chat: The model.
        prompt: With blocks ``user``, ``answer``, and ``system`` and ``examples`` where it has them.
        labels: The types that the prompt tells of.
        batch: All names of a sample in one request, or one request a name.
        form: How expression, mention and label make the text that later stages read.
        fallback: Writes the expression where the model has no answer.
        max_tokens: Of the answer about one name.

    Raises:
        UserError: If the prompt fits no mention.
    """

    def __init__(
        self,
        chat: Chat,
        prompt: Prompt,
        *,
        labels: Sequence[Label],
        batch: Batch = "sample",
        form: str = "{expression}",
        fallback: TemplateRewriter | None = None,
        max_tokens: int = 192,
    ) -> None:
        self._chat = chat
        self._prompt = prompt
        self._answer = answer_form(prompt)
        self._batch = batch
        self._form = form
        self._fallback = fallback
        self._max_tokens = max_tokens
        self._constants = {
            "batch": PromptValue(batch, "rewrite.batch"),
            "labels": PromptValue(label_values(labels), "labels"),
        }

    def prepare(self, mentions: Sequence[Mention]) -> Sequence[PreparedRequest]:
        """The questions that :meth:`rewrite` would ask, in its order.

        Raises:
            UserError: If the prompt fails on one of them.
        """
        return [self._prepared(sample, group) for sample, group in self._groups(mentions)]

    def rewrite(self, mentions: Sequence[Mention]) -> Sequence[Expression | Issue]:
        """Phrase and description of each mention; an Issue, or the template's, where none came."""
        groups = self._groups(mentions)
        answers = ask_about(self._chat, groups, lambda group: self._prepared(*group))
        looks = {
            (id(sample), name): look
            for (sample, group), answer in zip(groups, answers, strict=True)
            for name, look in self._looks(group, answer).items()
        }
        return [
            self._answered(mention, looks[id(mention.sample), mention.entity.id])
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
        given = {**self._constants, **_values(sample, entities)}
        values = {name: given[name] for name in _VALUES}
        parse, schema = self._reading(ids)
        request = Request(
            messages_of(self._prompt, self._constants, values),
            parse=parse,
            schema=schema,
            max_tokens=self._max_tokens * len(ids),
        )
        return PreparedRequest((sample.id, ids), request, self._prompt.name, given)

    def _reading(self, ids: tuple[str, ...]) -> tuple[Any, dict[str, Any] | None]:
        if self._answer.bare and self._batch == "entity":
            return read_bare_phrase, None
        return (
            partial(read_looks, ids=ids, form=self._answer),
            answer_schema(ids, self._answer),
        )

    def _looks(
        self, entities: Sequence[Entity], answer: ChatAnswer | NoAnswer
    ) -> dict[str, tuple[Look, str] | NoAnswer]:
        """What was said of each entity and how it came about, by id."""
        ids = [entity.id for entity in entities]
        if isinstance(answer, ChatAnswer):
            # A bare answer tells no id: the same words, asked about twice, are one question.
            looks = {ids[0]: answer.value} if isinstance(answer.value, Look) else answer.value
            return {name: (looks[name], source_of(answer)) for name in ids}
        kept = (
            usable_looks(answer.response, ids, self._answer) if answer.response is not None else {}
        )
        return {name: (kept[name], PARTIAL) if name in kept else answer for name in ids}

    def _answered(self, mention: Mention, said: tuple[Look, str] | NoAnswer) -> Expression | Issue:
        entity = mention.entity
        if isinstance(said, NoAnswer):
            return self._unanswered(mention, said)
        look, source = said
        if look.phrase is None:
            return Expression(entity.text, NOT_VISIBLE, source)
        text = self._form.format(
            expression=look.phrase, mention=one_line(entity.text), label=entity.label
        )
        return Expression(text, look.description, source)

    def _unanswered(self, mention: Mention, answer: NoAnswer) -> Expression | Issue:
        if self._fallback is not None:
            (written,) = self._fallback.rewrite([mention])
            if isinstance(written, Expression):
                return Expression(written.text, written.description, FALLBACK)
        return issue_of("rewrite", mention.entity.id, answer)


def answer_form(prompt: Prompt) -> AnswerForm:
    """The form of answer that a prompt asks for, by its block ``answer``.

    Raises:
        UserError: If it names none, or the prompt wants what no mention has.
    """
    require_conversation(prompt, constants=_CONSTANTS, values=_VALUES)
    return FORMS[answer_form_name(prompt, FORMS)]


def _template() -> TemplateRewriterConfig:
    return TemplateRewriterConfig()


def _values(sample: Sample, asked: Sequence[Entity]) -> dict[str, PromptValue]:
    """The row's values, each on one line, so that no sample can imitate the prompt's own lines."""
    ids = {entity.id for entity in asked}
    others = [entity for entity in sample.entities or () if entity.id not in ids]
    return {
        "text": PromptValue(one_line(sample.text), "sample.text"),
        "caption": PromptValue(one_line(sample.caption or ""), "sample.caption"),
        "knowledge": PromptValue(one_line(sample.knowledge or ""), "sample.knowledge"),
        "entities": PromptValue(tuple(map(_entity_value, asked)), "sample.entities"),
        "others": PromptValue(tuple(map(_entity_value, others)), "sample.entities"),
    }


def _entity_value(entity: Entity) -> dict[str, str]:
    return {"id": entity.id, "text": one_line(entity.text), "label": entity.label}
