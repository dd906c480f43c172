"""Entities that a language model names: the schema of its answer, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from riveg.llm.answer_marks import with_single_escapes, without_markup
from riveg.llm.borders import without_marks
from riveg.llm.conversation import Response, Unparsable
from riveg.llm.json_answers import parse_json
from riveg.llm.json_forms import as_asked
from riveg.llm.json_schema import fault_in
from riveg.text.alignment import TokenAligner, Unaligned, without_overlaps
from riveg.text.spans import span_text
from riveg.types import Sample, Span

UNALIGNED = "unaligned-entity"
"""Kind of the Issue for words that are no tokens of the sample."""
UNKNOWN_LABEL = "unknown-label"
"""Kind of the Issue for a label that the system does not have."""
OVERLAPPING = "overlapping-entity"
"""Kind of the Issue for an entity that is dropped for a longer one in the same place."""
BAD_ENTITY = "bad-entity"
"""Kind of the Issue, beside good entities, for an item that is none."""
FULL = "many-entities"
"""Kind of the Issue for an answer with the highest number of entities: some may be missing."""

_LONGEST = 200
"""Characters of an entity's words."""

_ITEM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "label": {"type": "string"},
        "occurrence": {"type": "integer"},
    },
    "required": ["text", "label"],
}


def _list_of(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"entities": {"type": "array", "items": item}},
        "required": ["entities"],
    }


_ACCEPTED = _list_of(_ITEM)
"""What is read from any response; the server is given a narrower schema."""
_ANY_LIST = _list_of({"properties": {key: {} for key in _ITEM["properties"]}})
"""What is read once the model was asked again: some of its entities may be none."""


class LabelledSpan(NamedTuple):
    """An entity of an answer and where it is in the text."""

    span: Span
    label: str


class Fault(NamedTuple):
    """What is wrong with one entity of an answer: an Issue's kind, and the reason."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says.

    Args:
        entities: By position, no two of them overlapping.
        faults: What the model can mend when it is asked again.
        losses: What would be missing from another answer as well.
    """

    entities: tuple[LabelledSpan, ...]
    faults: tuple[Fault, ...] = ()
    losses: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class EntityReader:
    """Reads the entities of a sample from a response.

    Args:
        labels: The system's labels.
        most_entities: Highest number of entities of one sample.
    """

    labels: tuple[str, ...]
    most_entities: int

    @property
    def schema(self) -> dict[str, Any]:
        """JSON schema that the server is given; lists and words have a highest length."""
        item = {
            "type": "object",
            "properties": {
                "text": {"type": "string", "minLength": 1, "maxLength": _LONGEST},
                "label": {"type": "string", "enum": list(self.labels)},
                "occurrence": {"type": "integer", "minimum": 1, "maximum": 99},
            },
            "required": ["text", "label", "occurrence"],
            "additionalProperties": False,
        }
        return {
            "type": "object",
            "properties": {
                "entities": {"type": "array", "items": item, "maxItems": self.most_entities}
            },
            "required": ["entities"],
            "additionalProperties": False,
        }

    def read_faultless(self, response: Response, *, sample: Sample) -> Reading:
        """A response without faults.

        Raises:
            Unparsable: If it is no list of entities, or names the faults of some of them.
        """
        reading = self._reading(parse_json(response, _ACCEPTED)["entities"], sample)
        if reading.faults:
            faults = "; ".join(message for _, message in reading.faults)
            raise Unparsable(f"Not every entity is right: {faults}. Give the whole list again.")
        return reading

    def read(self, response: Response, *, sample: Sample) -> Reading:
        """What a response says, entity by entity; an entity that is named twice counts once.

        Raises:
            Unparsable: If it is no list of entities.
        """
        try:
            items = parse_json(response, _ACCEPTED)["entities"]
        except Unparsable:
            items = parse_json(response, _ANY_LIST)["entities"]
        return self._reading(items, sample)

    def _reading(self, items: Sequence[Any], sample: Sample) -> Reading:
        aligner = TokenAligner(sample.text, sample.offsets)
        located = [
            self._locate(as_asked(item, _ITEM), number, aligner)
            for number, item in enumerate(items, start=1)
        ]
        named = dict.fromkeys(one for one in located if isinstance(one, LabelledSpan))
        kept, dropped = without_overlaps(tuple(named))
        losses = [Fault(OVERLAPPING, _overlap(sample, one)) for one in dropped]
        if len(items) >= self.most_entities:
            message = f"{len(items)} entities, there may be more; raise tag.most_entities"
            losses.append(Fault(FULL, message))
        faults = tuple(one for one in located if isinstance(one, Fault))
        return Reading(kept, faults, tuple(losses))

    def _locate(self, item: Any, number: int, aligner: TokenAligner) -> LabelledSpan | Fault:
        wrong = fault_in(item, _ITEM, f"item {number} of 'entities'")
        if wrong is not None:
            return Fault(BAD_ENTITY, wrong)
        label = self._known_label(item["label"])
        if label is None:
            known = ", ".join(self.labels)
            return Fault(
                UNKNOWN_LABEL,
                f"{item['text']!r} has the label {item['label']!r}, which is not one of {known}",
            )
        reasons = []
        for text in _spellings(item["text"]):
            try:
                return LabelledSpan(aligner.find(text, item.get("occurrence", 1)), label)
            except Unaligned as reason:
                reasons.append(str(reason))
        return Fault(UNALIGNED, reasons[0])

    def _known_label(self, label: str) -> str | None:
        """The system's label, whatever the case; ``None`` where it has none of that name."""
        if label in self.labels:
            return label
        folded = {known.casefold(): known for known in reversed(self.labels)}
        return folded.get(without_markup(label).casefold())


def _spellings(text: str) -> dict[str, None]:
    """An entity's words as they are written, then with doubled escapes read, and without markup.

    The words of a post come first: it may itself hold escapes and markup. Words that the prompt
    marked, because they look like one of its borders, are read without the marks as well.
    """
    single = with_single_escapes(text)
    return dict.fromkeys((text, without_marks(text), single, without_markup(single)))


def _overlap(sample: Sample, one: LabelledSpan) -> str:
    words = span_text(sample.text, sample.offsets, one.span)
    return (
        f"{words!r} [{one.label}], tokens [{one.span.start}, {one.span.end}), "
        "stands within a longer entity, or one given before it"
    )
