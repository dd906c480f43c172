"""What chat backends that ask one question about each post or entity share: prompt and values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from riveg.chat.messages import require_conversation
from riveg.conversation import Given, Picture
from riveg.errors import PICTURE_FAULTS
from riveg.prompts import Prompt, load_prompt
from riveg.types import Entity, Sample


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


def picture_of(sample: Sample) -> tuple[Picture, ...]:
    """The picture of a post; nothing where it has none, or one that was found to be unusable."""
    faulty = any(one.entity_id is None and one.kind in PICTURE_FAULTS for one in sample.issues)
    return () if sample.image is None or faulty else (Picture(sample.image),)


def post_values(sample: Sample) -> dict[str, Given]:
    """``text`` and ``caption`` (empty where there is none)."""
    return {
        "text": Given(sample.text, "sample.text"),
        "caption": Given(sample.caption or "", "sample.caption"),
    }


def entity_value(entity: Entity) -> Given:
    """The entity: ``text``, ``label``, ``expression`` and ``description`` (empty for none)."""
    value: Mapping[str, str] = {
        "text": entity.text,
        "label": entity.label,
        "expression": entity.expression or "",
        "description": entity.description or "",
    }
    return Given(value, "sample.entities")
