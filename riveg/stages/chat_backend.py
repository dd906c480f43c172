"""What the ``chat`` backends share: finding their model, asking about many items at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from riveg.config.backend import BuildContext
from riveg.errors import IMAGE_FAULTS, UserError
from riveg.labels import Label
from riveg.llm.conversation import (
    AttachedImage,
    Chat,
    ChatAnswer,
    Message,
    NoAnswer,
    PreparedRequest,
    PromptValue,
)
from riveg.llm.messages import conversation, require_conversation
from riveg.llm.prompts import Prompt, load_prompt
from riveg.protocols import Mention
from riveg.registry import suggest
from riveg.types import Entity, Issue, Sample

PROMPT_FAILED = "prompt-failed"
"""Kind of the Issue where the prompt fails on what one sample holds; nobody was asked."""

_ANSWER = "answer"

Item = TypeVar("Item")


def require_chat(context: BuildContext, stage: str, name: str) -> Chat:
    """The language model that a stage asks.

    Raises:
        UserError: If the system has none of that name.
    """
    if name not in context.chats:
        raise UserError(
            f"{stage}.llm: no language model {name!r}; add it under llm:, or "
            f"{suggest(name, context.chats)}"
        )
    return context.chats[name]


def label_values(labels: Iterable[Label]) -> tuple[Mapping[str, Any], ...]:
    """The types for a prompt: each with ``name``, ``description`` and ``examples``."""
    return tuple(label.model_dump() for label in labels)


def by_sample(mentions: Iterable[Mention]) -> Iterator[tuple[Sample, tuple[Mention, ...]]]:
    """Each sample with those of its mentions that stand together."""
    for _, group in groupby(mentions, key=lambda mention: id(mention.sample)):
        together = tuple(group)
        yield together[0].sample, together


def messages_of(
    prompt: Prompt,
    constants: Mapping[str, PromptValue],
    values: Mapping[str, PromptValue],
    images: Sequence[AttachedImage] = (),
) -> tuple[Message, ...]:
    """The messages of one request, from values that know where they came from.

    Raises:
        UserError: If the prompt fails on them.
    """
    return conversation(
        prompt,
        constants={name: given.value for name, given in constants.items()},
        values={name: given.value for name, given in values.items()},
        images=images,
    )


def ask_about(
    chat: Chat, items: Sequence[Item], prepare: Callable[[Item], PreparedRequest]
) -> list[ChatAnswer | NoAnswer]:
    """Asks one question about each item, all at once; the answers in the items' order.

    An item that the prompt fails on has a ``NoAnswer`` of kind ``prompt-failed`` and keeps nobody
    else from being asked.
    """
    prepared = [_prepared(item, prepare) for item in items]
    requests = [one.request for one in prepared if isinstance(one, PreparedRequest)]
    answers = iter(chat.ask(requests) if requests else ())
    return [next(answers) if isinstance(one, PreparedRequest) else one for one in prepared]


def answer_form_name(prompt: Prompt, forms: Collection[str]) -> str:
    """Which form of answer a prompt asks for: the word in its block ``answer``.

    Raises:
        UserError: If there is no such block, or its word names none of the forms.
    """
    prompt.require(_ANSWER, ())
    name = prompt.render(_ANSWER).strip()
    if name not in forms:
        raise UserError(
            f"{prompt.path}: block {_ANSWER!r} names no form of answer, but {name!r:.60}; "
            f"{suggest(name, forms)}"
        )
    return name


def issue_of(stage: str, entity_id: str | None, answer: NoAnswer) -> Issue:
    """The Issue for a question that has no answer."""
    return Issue(stage, entity_id, answer.kind, answer.message)


def source_of(answer: ChatAnswer) -> str:
    """How an answer came about, for the record: ``chat:schema``, ``chat:re-asked`` ..."""
    return f"chat:{answer.path}"


def _prepared(item: Item, prepare: Callable[[Item], PreparedRequest]) -> PreparedRequest | NoAnswer:
    try:
        return prepare(item)
    except UserError as error:
        return NoAnswer(PROMPT_FAILED, str(error))


def read_prompt(
    name: str, folder: Path, *, constants: Collection[str], values: Collection[str]
) -> Prompt:
    """A prompt that can be a conversation with these values.

    Raises:
        UserError: If there is none of that name, or it wants other values.
    """
    prompt = load_prompt(name, folder=folder)
    require_conversation(prompt, constants=constants, values=values)
    return prompt


def image_of(sample: Sample) -> tuple[AttachedImage, ...]:
    """The image of a sample; nothing where it has none, or one that was found to be unusable."""
    faulty = any(one.entity_id is None and one.kind in IMAGE_FAULTS for one in sample.issues)
    return () if sample.image is None or faulty else (AttachedImage(sample.image),)


def sample_values(sample: Sample) -> dict[str, PromptValue]:
    """``text`` and ``caption`` (empty where there is none)."""
    return {
        "text": PromptValue(sample.text, "sample.text"),
        "caption": PromptValue(sample.caption or "", "sample.caption"),
    }


def entity_value(entity: Entity) -> PromptValue:
    """The entity: ``text``, ``label``, ``expression`` and ``description`` (empty for none)."""
    value: Mapping[str, str] = {
        "text": entity.text,
        "label": entity.label,
        "expression": entity.expression or "",
        "description": entity.description or "",
    }
    return PromptValue(value, "sample.entities")
