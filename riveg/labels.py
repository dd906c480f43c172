"""The types of entities: what a system calls them, the four that are usual, and label sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)


class Label(BaseModel):
    """A type of entity: its name, one line on what it is, a few examples, and its fine types."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=60)
    description: str = Field(default="", max_length=300)
    examples: tuple[str, ...] = Field(default=(), max_length=10)
    fine: tuple[str, ...] = ()

    @model_serializer(mode="wrap")
    def _without_fine_types(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Label sets of one level are written, and counted into fingerprints, as they always were.
        values: dict[str, Any] = dump(self)
        return values if self.fine else {key: values[key] for key in values if key != "fine"}

    @field_validator("name", "description", "examples", "fine")
    @classmethod
    def _on_one_line(cls, value: Any) -> Any:
        texts = (value,) if isinstance(value, str) else value
        if not all(text.isprintable() and text.strip() == text for text in texts):
            raise ValueError("expected text on one line, without blanks around it")
        return value


USUAL_LABELS = (
    Label(
        name="PER",
        description="a person, real or fictional, or a group of people named as such",
        examples=("Serena Williams", "Harry Potter"),
    ),
    Label(
        name="LOC",
        description="a place: a city, a country, a street, a building, a park",
        examples=("Nairobi", "Central Park"),
    ),
    Label(
        name="ORG",
        description="an organization: a company, a team, a band, a party, a news outlet",
        examples=("NASA", "Manchester United"),
    ),
    Label(
        name="OTHER",
        description="any other name: an event, a product, a film, a book, an award, an animal",
        examples=("World Cup", "Star Wars"),
    ),
)
"""The four types of Twitter-GMNER, for systems that name none."""

Levels = Mapping[str, tuple[str, ...]]
"""A label set: each label with its fine labels, ``()`` where it has none."""


def label_levels(value: object) -> dict[str, tuple[str, ...]]:
    """The label set that a list of labels, or a mapping of labels to their fine ones, says.

    >>> label_levels(["PER", "LOC"])
    {'PER': (), 'LOC': ()}
    >>> label_levels({"PER": ["actor", "athlete"], "LOC": None})
    {'PER': ('actor', 'athlete'), 'LOC': ()}

    Raises:
        ValueError: If it is neither, a name is none, or a label is named twice: on one level, or as
            a fine label below two labels or below another label of its name.
    """
    if isinstance(value, Mapping):
        levels = {
            _name(name): _names(below or (), f"below {name}") for name, below in value.items()
        }
    else:
        levels = dict.fromkeys(_names(value, "here"), ())
    label_of: dict[str, str] = {}
    for label, below in levels.items():
        for fine in below:
            if fine in label_of:
                raise ValueError(
                    f"the fine type {fine!r} stands below {label_of[fine]} and below {label}; a "
                    "fine type belongs to one type"
                )
            if fine in levels and fine != label:
                raise ValueError(
                    f"{fine!r} stands below {label} and is a type itself; give the fine type "
                    "another name"
                )
            label_of[fine] = label
    return levels


def _names(value: object, place: str) -> tuple[str, ...]:
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise ValueError(f"expected a list of types {place}: [...], or types with their fine ones")
    names = tuple(map(_name, value))
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r} is named twice {place}")
    return names


def _name(value: object) -> str:
    name = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not name.strip() or name != name.strip() or not name.isprintable():
        raise ValueError(f"{value!r} is no name of a type: expected a text on one line")
    return name
