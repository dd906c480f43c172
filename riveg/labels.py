"""The types of entities: what a system calls them, and the four that are usual."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Label(BaseModel):
    """A type of entity: its name, one line on what it is, and a few examples."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=60)
    description: str = Field(default="", max_length=300)
    examples: tuple[str, ...] = Field(default=(), max_length=10)

    @field_validator("name", "description", "examples")
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
