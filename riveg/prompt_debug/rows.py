"""The rows of the document: each request of a stage with its values, answer and result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from riveg.geometry.boxes import box_text
from riveg.llm.conversation import (
    AttachedImage,
    Chat,
    ChatAnswer,
    Message,
    NoAnswer,
    PreparedRequest,
)
from riveg.llm.prompts import Prompt
from riveg.pipeline import PER_SAMPLE, AnyStage
from riveg.prompt_debug.document import (
    ModelAnswer,
    Named,
    Parsed,
    Post,
    PromptUsed,
    Row,
    Said,
    Side,
    Variable,
)
from riveg.protocols import Mention
from riveg.runs.llm_requests import NOT_ASKED
from riveg.types import Entity, Sample


@dataclass(frozen=True, slots=True)
class StageAnswers:
    """What a stage has sent, and what came of it.

    Args:
        requests: Its requests.
        answers: The answer to each request.
        were_cached: Whether each answer was cached before.
        samples: The samples with the stage's answers.
    """

    requests: tuple[PreparedRequest, ...]
    answers: tuple[ChatAnswer | NoAnswer, ...]
    were_cached: tuple[bool, ...]
    samples: tuple[Sample, ...]


def side_of(stage: AnyStage, prompt: Prompt, chat: Chat, found: StageAnswers) -> Side:
    """One prompt over the samples.

    Args:
        stage: The stage.
        prompt: Its prompt.
        chat: Counts tokens.
        found: The stage's requests and answers.
    """
    messages = [one.request.messages for one in found.requests]
    shared = _count_shared(messages)
    variables = [tuple(_variables(one, prompt)) for one in found.requests]
    constants = _same_in_all(variables)
    samples = {sample.id: sample for sample in found.samples}
    rows = []
    for prepared, own, answer, was_cached in zip(
        found.requests, variables, found.answers, found.were_cached, strict=True
    ):
        sample_id, entity_ids = prepared.subject
        count = chat.count(prepared.request)
        model_answer = _model_answer(answer, was_cached)
        rows.append(
            Row(
                sample_id,
                entity_ids,
                tuple(map(_message, prepared.request.messages[shared:])),
                tuple(value for value in own if value not in constants),
                count.tokens,
                count.exact,
                model_answer,
                tuple(_parsed(stage, samples[sample_id], entity_ids)) if model_answer else (),
            )
        )
    used = PromptUsed(prompt.name, str(prompt.path), prompt.fingerprint)
    opening = messages[0][:shared] if messages else ()
    return Side(used, tuple(map(_message, opening)), constants, tuple(rows))


def _count_shared(conversations: Sequence[tuple[Message, ...]]) -> int:
    """How many messages, from the first, all requests share; at least one is a request's own."""
    if len(conversations) < 2:
        return 0
    shared = 0
    for same in zip(*conversations, strict=False):
        if any(message != same[0] for message in same):
            break
        shared += 1
    return min(shared, min(map(len, conversations)) - 1)


def _message(message: Message) -> Said:
    return Said(message.role, message.text, tuple(map(_image, message.images)))


def _image(image: AttachedImage) -> str:
    if image.crop is None:
        return image.image.path
    return f"{image.image.path} [{box_text(image.crop)}]"


def _variables(prepared: PreparedRequest, prompt: Prompt) -> Iterator[Variable]:
    for name, value in prepared.values.items():
        yield Variable(name, shown(value.value), value.source, name in prompt.variables)


def _same_in_all(values: Sequence[tuple[Variable, ...]]) -> tuple[Variable, ...]:
    if len(values) < 2:
        return ()
    return tuple(one for one in values[0] if all(one in others for others in values))


def shown(value: Any) -> str:
    """A value in words: a text as it is, several values in a row, mappings in lines.

    >>> shown(("PER", "LOC")), shown(None), shown("")
    ('PER, LOC', '(none)', '(empty)')
    >>> shown([{"id": "e0", "text": "Ada"}])
    'id: e0, text: Ada'
    """
    if value is None:
        return "(none)"
    if isinstance(value, str):
        return value or "(empty)"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {shown(one)}" for key, one in value.items()) or "(empty)"
    if isinstance(value, Sequence):
        separator = "\n" if any(isinstance(one, Mapping) for one in value) else ", "
        return separator.join(map(shown, value)) or "(empty)"
    return str(value)


def _model_answer(answer: ChatAnswer | NoAnswer, was_cached: bool) -> ModelAnswer | None:
    if isinstance(answer, ChatAnswer):
        return ModelAnswer(
            answer.response.text,
            answer.response.finish_reason,
            answer.path,
            on_file=was_cached,
            prompt_tokens=answer.prompt_tokens,
            answer_tokens=answer.answer_tokens,
            latency_s=answer.latency_s,
            thoughts=answer.response.thoughts or None,
        )
    if answer.kind == NOT_ASKED:
        return None
    response = answer.response
    return ModelAnswer(
        None if response is None else response.text,
        None if response is None else response.finish_reason,
        None,
        fault=answer.kind,
        message=answer.message,
        thoughts=None if response is None else response.thoughts or None,
    )


def _parsed(stage: AnyStage, sample: Sample, entity_ids: Sequence[str]) -> Iterator[Parsed]:
    issues: dict[str | None, str] = {}
    for issue in sample.issues:
        if issue.stage == stage.name:
            before = issues.get(issue.entity_id)
            told = f"{issue.kind}: {issue.message}"
            issues[issue.entity_id] = told if before is None else f"{before}; {told}"
    if not entity_ids:
        text = stage.tell(sample) if stage.per is PER_SAMPLE else None
        yield Parsed(None, text, None, issues.get(None))
    by_id = {entity.id: entity for entity in sample.entities or ()}
    for entity_id in entity_ids:
        entity = by_id.get(entity_id)
        missing = issues.get(entity_id) or issues.get(None)
        if entity is None or missing is not None:
            yield Parsed(entity_id, None, None, missing)
        else:
            alone = replace(sample, entities=(entity,))
            item = alone if stage.per is PER_SAMPLE else Mention(sample, entity)
            yield Parsed(entity_id, stage.tell(item), stage.source(item))


def shown_sample(sample: Sample) -> Post:
    """What the document shows of a sample."""
    named = tuple(map(_name, sample.entities or ()))
    return Post(sample.id, sample.text, sample.image.path if sample.image else None, named)


def _name(entity: Entity) -> Named:
    return Named(entity.id, entity.text, entity.label)
