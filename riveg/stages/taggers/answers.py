"""Entities that a language model names: the schema of its answer, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from riveg.llm.conversation import Response, Unparsable
from riveg.llm.json_answers import parse_json
from riveg.llm.json_forms import as_asked
from riveg.llm.json_schema import fault_in
from riveg.stages.named_spans import (
    BAD_ENTITY,
    Fault,
    LabelledSpan,
    SpanFinder,
    full,
    without_overlapping,
)
from riveg.types import Sample

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
        finder = SpanFinder(sample, self.labels)
        located = [
            _located(as_asked(item, _ITEM), number, finder)
            for number, item in enumerate(items, start=1)
        ]
        kept, losses = without_overlapping(
            sample, (one for one in located if isinstance(one, LabelledSpan))
        )
        losses += full(len(items), self.most_entities, "tag.most_entities")
        faults = tuple(one for one in located if isinstance(one, Fault))
        return Reading(kept, faults, tuple(losses))


def _located(item: Any, number: int, finder: SpanFinder) -> LabelledSpan | Fault:
    wrong = fault_in(item, _ITEM, f"item {number} of 'entities'")
    if wrong is not None:
        return Fault(BAD_ENTITY, wrong)
    return finder.find(item["text"], item["label"], item.get("occurrence", 1))
