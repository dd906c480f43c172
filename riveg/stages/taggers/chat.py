"""Entities by a language model, with types of the user's own, aligned to the sample's tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

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
from riveg.llm.json_answers import is_json, parse_json
from riveg.llm.prompts import Prompt
from riveg.protocols import PartialAnswer, Tagger
from riveg.stages.chat_backend import (
    ask_about,
    issue_of,
    label_values,
    messages_of,
    read_prompt,
    require_chat,
    sample_values,
)
from riveg.text.alignment import TokenAligner, Unaligned, without_overlaps
from riveg.text.spans import span_text
from riveg.types import Entity, Issue, Sample, Span

UNALIGNED = "unaligned-entity"
"""Kind of the Issue for words that are no tokens of the sample."""
UNKNOWN_LABEL = "unknown-label"
"""Kind of the Issue for a type that the system does not have."""
OVERLAPPING = "overlapping-entity"
"""Kind of the Issue for an entity that gave way to a longer one in the same place."""
FULL = "many-entities"
"""Kind of the Issue for an answer with as many entities as it may hold: there may be more."""

_CONSTANTS = ("labels",)
_VALUES = ("text", "caption", "knowledge")
_LONGEST = 200
"""Characters of an entity's words."""

_SAID = {
    "type": "object",
    "properties": {
        "entities": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "text": {"type": "string"},
                    "label": {"type": "string"},
                    "occurrence": {"type": "integer"},
                },
                "required": ["text", "label"],
            },
        }
    },
    "required": ["entities"],
}
"""What is read from any answer; what the server is asked for is narrower."""


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

    def build(self, context: BuildContext) -> ChatTagger:
        """Reads the prompt and finds the model; nothing is asked yet.

        Raises:
            UserError: If there is no such model or prompt, or the prompt fits no sample.
        """
        return ChatTagger(
            require_chat(context, self.stage, self.llm),
            read_prompt(self.prompt, context.base, constants=_CONSTANTS, values=_VALUES),
            labels=context.labels,
            most_entities=self.most_entities,
            max_tokens=self.max_tokens,
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digest of the prompt.

        Raises:
            UserError: As in building: found before the run.
        """
        prompt = read_prompt(self.prompt, base, constants=_CONSTANTS, values=_VALUES)
        return {"prompt": prompt.fingerprint}


class Found(NamedTuple):
    """An entity of an answer where it stands in the text."""

    span: Span
    label: str


class Fault(NamedTuple):
    """What is wrong with one entity of an answer: an Issue's kind, and the reason."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer: what stands side by side in the text, what is no entity, and what may be missing.

    ``faults`` can be mended by the model, ``losses`` not: another answer would have them as well.
    """

    found: tuple[Found, ...]
    faults: tuple[Fault, ...] = ()
    losses: tuple[Fault, ...] = ()


class ChatTagger:
    """Asks one question about each sample.

    An answer with a fault in it is asked for again, the fault shown. If one is left then, the good
    entities are kept and each fault is an Issue beside them.

    Args:
        chat: The model.
        prompt: With a block ``user``, and ``system`` where it has one.
        labels: The types.
        most_entities: Of one sample.
        max_tokens: Of the answer.
    """

    def __init__(
        self,
        chat: Chat,
        prompt: Prompt,
        *,
        labels: Sequence[Label],
        most_entities: int = 40,
        max_tokens: int = 1024,
    ) -> None:
        self._chat = chat
        self._prompt = prompt
        self._labels = tuple(label.name for label in labels)
        self._constants = {"labels": PromptValue(label_values(labels), "labels")}
        self._schema = answer_schema(self._labels, most_entities)
        self._read = partial(read_entities, labels=self._labels, most_entities=most_entities)
        self._read_whole = partial(read_whole, labels=self._labels, most_entities=most_entities)
        self._max_tokens = max_tokens

    def prepare(self, samples: Sequence[Sample]) -> Sequence[PreparedRequest]:
        """The questions that :meth:`tag` would ask.

        Raises:
            UserError: If the prompt fails on one of them.
        """
        return [self._prepared(sample) for sample in samples]

    def tag(
        self, samples: Sequence[Sample]
    ) -> Sequence[tuple[Entity, ...] | PartialAnswer[tuple[Entity, ...]] | Issue]:
        """The entities of each sample, without scores: a language model's would mean nothing."""
        answers = ask_about(self._chat, samples, self._prepared)
        return [
            self._entities(sample, answer) for sample, answer in zip(samples, answers, strict=True)
        ]

    def _prepared(self, sample: Sample) -> PreparedRequest:
        values = {
            **sample_values(sample),
            "knowledge": PromptValue(sample.knowledge or "", "sample.knowledge"),
        }
        request = Request(
            messages_of(self._prompt, self._constants, values),
            partial(self._read_whole, sample=sample),
            schema=self._schema,
            max_tokens=self._max_tokens,
        )
        given = {**self._constants, **values}
        return PreparedRequest((sample.id, ()), request, self._prompt.name, given)

    def _entities(
        self, sample: Sample, answer: ChatAnswer | NoAnswer
    ) -> tuple[Entity, ...] | PartialAnswer[tuple[Entity, ...]] | Issue:
        # Two samples of the same words are asked about once, and may be cut into other tokens: so
        # the words are read for each, not the value of whoever asked first.
        reading = self._reading(sample, answer)
        if isinstance(reading, Issue):
            return reading
        issues = tuple(
            Issue("tag", None, kind, message)
            for kind, message in (*reading.faults, *reading.losses)
        )
        if reading.faults and not reading.found:
            kind = reading.faults[0].kind
            return Issue("tag", None, kind, "; ".join(issue.message for issue in issues))
        entities = tuple(
            _entity(sample, found, number) for number, found in enumerate(reading.found)
        )
        return PartialAnswer(entities, issues) if issues else entities

    def _reading(self, sample: Sample, answer: ChatAnswer | NoAnswer) -> Reading | Issue:
        if isinstance(answer, ChatAnswer):
            return self._read(answer.response, sample=sample)
        given_up = issue_of("tag", None, answer)
        # What did not come to its end may lack entities that nobody would miss.
        if answer.response is None or not (
            answer.response.finish_reason == "stop" or is_json(answer.response.text)
        ):
            return given_up
        try:
            reading = self._read(answer.response, sample=sample)
        except Unparsable:
            return given_up
        return reading if reading.faults else given_up


def read_whole(
    response: Response, *, sample: Sample, labels: Sequence[str], most_entities: int
) -> Reading:
    """An answer in which every entity is one.

    Raises:
        Unparsable: If it is no list of entities, or with what is wrong with some of them.
    """
    reading = read_entities(response, sample=sample, labels=labels, most_entities=most_entities)
    if reading.faults:
        faults = "; ".join(message for _, message in reading.faults)
        raise Unparsable(f"Not every entity is right: {faults}. Give the whole list again.")
    return reading


def read_entities(
    response: Response, *, sample: Sample, labels: Sequence[str], most_entities: int
) -> Reading:
    """What an answer says, entity by entity; one said twice counts once.

    Raises:
        Unparsable: If it is no list of entities.
    """
    aligner = TokenAligner(sample.text, sample.offsets)
    items = parse_json(response, _SAID)["entities"]
    found: dict[Found, None] = {}
    faults: list[Fault] = []
    for item in items:
        one = _found(item, aligner, labels)
        if isinstance(one, Fault):
            faults.append(one)
        else:
            found[one] = None
    kept, dropped = without_overlaps(tuple(found))
    losses = [Fault(OVERLAPPING, _overlap(sample, one)) for one in dropped]
    if len(items) >= most_entities:
        message = f"{len(items)} entities, there may be more; raise tag.most_entities"
        losses.append(Fault(FULL, message))
    return Reading(kept, tuple(faults), tuple(losses))


def _found(item: Mapping[str, Any], aligner: TokenAligner, labels: Sequence[str]) -> Found | Fault:
    label = _label(item["label"], labels)
    if label is None:
        known = ", ".join(labels)
        message = f"{item['text']!r} has the label {item['label']!r}, which is not one of {known}"
        return Fault(UNKNOWN_LABEL, message)
    try:
        return Found(aligner.find(item["text"], item.get("occurrence", 1)), label)
    except Unaligned as reason:
        return Fault(UNALIGNED, str(reason))


def answer_schema(labels: Sequence[str], most_entities: int) -> dict[str, Any]:
    """What the server is asked for: bounded lists of bounded words, no key but these."""
    item = {
        "type": "object",
        "properties": {
            "text": {"type": "string", "minLength": 1, "maxLength": _LONGEST},
            "label": {"type": "string", "enum": list(labels)},
            "occurrence": {"type": "integer", "minimum": 1, "maximum": 99},
        },
        "required": ["text", "label", "occurrence"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"entities": {"type": "array", "items": item, "maxItems": most_entities}},
        "required": ["entities"],
        "additionalProperties": False,
    }


def _label(said: str, labels: Sequence[str]) -> str | None:
    if said in labels:
        return said
    folded = {label.casefold(): label for label in reversed(labels)}
    return folded.get(said.strip().casefold())


def _overlap(sample: Sample, one: Found) -> str:
    words = span_text(sample.text, sample.offsets, one.span)
    return (
        f"{words!r} [{one.label}], tokens [{one.span.start}, {one.span.end}), "
        "stands within a longer entity, or one given before it"
    )


def _entity(sample: Sample, found: Found, number: int) -> Entity:
    return Entity(
        f"e{number}", span_text(sample.text, sample.offsets, found.span), found.label, found.span
    )
