"""What the ``chat`` backends share: a model with its prompt, values of a sample, many requests.

A backend says what is its own: the values of its prompt, how a response is read, and how what was
read becomes an answer of its stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from riveg.config.backend import BuildContext
from riveg.errors import UserError, suggest
from riveg.labels import Label
from riveg.llm.answer_text import one_line
from riveg.llm.conversation import (
    AttachedImage,
    Chat,
    ChatAnswer,
    NoAnswer,
    Parser,
    PreparedRequest,
    PromptForm,
    PromptValue,
    Request,
    Response,
)
from riveg.llm.json_answers import is_json
from riveg.llm.messages import (
    conversation,
    prompt_parts,
    require_conversation,
    require_exemplars,
)
from riveg.llm.prompt_parts import PromptParts
from riveg.llm.prompts import Prompt, load_prompt
from riveg.pipeline import Answer, is_image_broken
from riveg.protocols import AnswerOrIssue, Mention
from riveg.types import Entity, Issue, Sample

PROMPT_FAILED = "prompt-failed"
"""Kind of the Issue where the prompt fails on what one sample holds; no request is sent."""

_ANSWER = "answer"

Item = TypeVar("Item")
Asked = TypeVar("Asked", bound=Sample | Mention)
Form = TypeVar("Form")


@dataclass(frozen=True, slots=True)
class PromptVariables:
    """The values that a stage gives to its prompt.

    Args:
        constants: Names of those that are the same for all requests of a run.
        values: Names of those that differ between requests.
    """

    constants: tuple[str, ...] = ()
    values: tuple[str, ...] = ()

    def read(self, name: str, folder: Path) -> Prompt:
        """The prompt of that name, which needs no other values than these.

        Raises:
            UserError: If there is none of that name, or it needs another value.
        """
        prompt = load_prompt(name, folder=folder)
        require_conversation(prompt, constants=self.constants, values=self.values)
        return prompt

    def contents(self, name: str, folder: Path) -> dict[str, str]:
        """A backend's ``contents``: the digest of its prompt.

        Raises:
            UserError: As in reading it: a prompt that does not fit is found before the run.
        """
        return {"prompt": self.read(name, folder).fingerprint}


class ChatConfig(Protocol):
    """The configuration of a chat backend: the names of its model and of its prompt."""

    stage: ClassVar[str]

    @property
    def llm(self) -> str: ...

    @property
    def prompt(self) -> str: ...


@runtime_checkable
class HasPrompts(Protocol):
    """The configuration of a backend that has a prompt for each kind of question."""

    @property
    def prompt_fields(self) -> Mapping[str, str]:
        """By kind, the field that names its prompt."""

    def alone(self, kind: str) -> Any:
        """The configuration that asks one kind alone."""


@dataclass(frozen=True, slots=True)
class PromptedChat:
    """A language model and the prompt that a stage asks it with.

    Args:
        stage: The stage's name, for its issues.
        chat: The model.
        prompt: With a block ``user``, and others that its stage knows.
        constants: The values of the prompt that are the same for all requests.
        form: How the prompt becomes messages.
    """

    stage: str
    chat: Chat
    prompt: Prompt
    constants: Mapping[str, PromptValue]
    form: PromptForm = "chat"

    def parts(self, values: Mapping[str, PromptValue]) -> PromptParts:
        """The prompt with the values of one request, before it becomes messages.

        Raises:
            UserError: If the prompt fails on the values.
        """
        return prompt_parts(
            self.prompt,
            constants={name: given.value for name, given in self.constants.items()},
            values={name: given.value for name, given in values.items()},
        )

    def prepare(
        self,
        sample: Sample,
        entities: Sequence[Entity],
        values: Mapping[str, PromptValue],
        parse: Parser,
        *,
        shows_image: bool = False,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int,
        first_tokens: int = 0,
        in_full: bool = False,
    ) -> PreparedRequest:
        """One request.

        Args:
            sample: What it is about.
            entities: Those of the sample's entities that it is about; none: the whole sample.
            values: The values of the prompt besides its constants.
            parse: Reads the response.
            shows_image: Whether the sample's image is attached, if there is one that can be used.
            schema: JSON schema of the response; ``None``: free text.
            max_tokens: Most tokens of the response.
            first_tokens: How many of the likeliest first tokens are wanted.
            in_full: Whether thoughts and the log-probabilities of all tokens are wanted.

        Raises:
            UserError: If the prompt fails on the values.
        """
        images = _image_of(sample) if shows_image else ()
        messages = conversation(self.parts(values), images, self.form)
        subject = (sample.id, tuple(entity.id for entity in entities))
        # Beyond the line's end a completed text would go on with more questions.
        stop = ("\n",) if self.form == "completion" else ()
        request = Request(messages, parse, schema, max_tokens, first_tokens, stop, in_full)
        return PreparedRequest(subject, request, self.prompt.name, {**self.constants, **values})

    def ask(
        self, items: Sequence[Item], prepare: Callable[[Item], PreparedRequest]
    ) -> list[ChatAnswer | NoAnswer]:
        """Sends one request about each item, all at once; the answers in the items' order.

        An item that the prompt fails on has a ``NoAnswer`` of kind ``prompt-failed``; requests
        about the others are sent all the same.
        """
        prepared = [_prepared(item, prepare) for item in items]
        requests = [one.request for one in prepared if isinstance(one, PreparedRequest)]
        answers = iter(self.chat.ask(requests) if requests else ())
        return [next(answers) if isinstance(one, PreparedRequest) else one for one in prepared]

    def answer(
        self,
        items: Sequence[Asked],
        prepare: Callable[[Asked], PreparedRequest],
        read: Callable[[Asked, ChatAnswer], AnswerOrIssue[Answer]],
        otherwise: Callable[[Asked, NoAnswer], AnswerOrIssue[Answer]] | None = None,
    ) -> list[AnswerOrIssue[Answer]]:
        """The stage's answer about each item, in order.

        Args:
            items: Samples or mentions.
            prepare: Makes the request about one.
            read: Makes the stage's answer of the model's.
            otherwise: Makes it where the model has none; ``None``: that is an Issue.
        """
        return [
            read(item, answer)
            if isinstance(answer, ChatAnswer)
            else (otherwise or self.issue)(item, answer)
            for item, answer in zip(items, self.ask(items, prepare), strict=True)
        ]

    def issue(self, item: Sample | Mention, answer: NoAnswer) -> Issue:
        """The Issue about an item that the model has no answer for."""
        entity_id = item.entity.id if isinstance(item, Mention) else None
        return Issue(self.stage, entity_id, answer.kind, answer.message)


def prompted_chat(
    config: ChatConfig,
    context: BuildContext,
    variables: PromptVariables,
    constants: Mapping[str, PromptValue],
    form: PromptForm = "chat",
) -> PromptedChat:
    """The model and the prompt that a configuration names; nothing is asked yet.

    Raises:
        UserError: If the system has no such model, there is no such prompt, or it needs a value
            that is not among the variables, or has no solved questions for its form.
    """
    if config.llm not in context.chats:
        raise UserError(
            f"{config.stage}.llm: no language model {config.llm!r}; add it under llm:, or "
            f"{suggest(config.llm, context.chats)}"
        )
    prompt = variables.read(config.prompt, context.base)
    require_exemplars(prompt, {name: given.value for name, given in constants.items()}, form)
    return PromptedChat(config.stage, context.chats[config.llm], prompt, constants, form)


def answer_form(prompt: Prompt, forms: Mapping[str, Form]) -> Form:
    """The form of answer that a prompt asks for: its block ``answer`` holds the name.

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
    return forms[name]


def whole_response(answer: NoAnswer) -> Response | None:
    """A response that was refused for its faults and of which a part may be kept.

    ``None`` where there is none, and for one that was cut off: it may lack more than its faults
    say, and nothing would tell.
    """
    response = answer.response
    if response is None or not (response.finish_reason == "stop" or is_json(response.text)):
        return None
    return response


def source_of(answer: ChatAnswer) -> str:
    """How an answer came about, for the record: ``chat:schema``, ``chat:re-asked`` ..."""
    return f"chat:{answer.path}"


def label_constants(labels: Iterable[Label]) -> dict[str, PromptValue]:
    """``labels``: the system's types, each with its name, description, examples and fine types."""
    values = tuple({**label.model_dump(), "fine": label.fine} for label in labels)
    return {"labels": PromptValue(values, "labels")}


def sample_values(sample: Sample) -> dict[str, PromptValue]:
    """``text`` and ``caption`` (empty where there is none)."""
    return {
        "text": PromptValue(sample.text, "sample.text"),
        "caption": PromptValue(sample.caption or "", "sample.caption"),
    }


def sample_lines(sample: Sample) -> dict[str, PromptValue]:
    """The same on one line each, so that no sample can imitate the lines of a prompt."""
    return {
        name: PromptValue(one_line(str(given.value)), given.source)
        for name, given in sample_values(sample).items()
    }


def entity_value(entity: Entity) -> PromptValue:
    """The entity: ``text`` and ``label``; what it may lack is empty then.

    That is ``fine_label``, ``expression`` and ``description``.
    """
    value: Mapping[str, str] = {
        "text": entity.text,
        "label": entity.label,
        "fine_label": entity.fine_label or "",
        "expression": entity.expression or "",
        "description": entity.description or "",
    }
    return PromptValue(value, "sample.entities")


def _image_of(sample: Sample) -> tuple[AttachedImage, ...]:
    """The image of a sample; nothing where it has none, or one that cannot be used."""
    if sample.image is None or is_image_broken(sample):
        return ()
    return (AttachedImage(sample.image),)


def _prepared(item: Item, prepare: Callable[[Item], PreparedRequest]) -> PreparedRequest | NoAnswer:
    try:
        return prepare(item)
    except UserError as error:
        return NoAnswer(PROMPT_FAILED, str(error))
