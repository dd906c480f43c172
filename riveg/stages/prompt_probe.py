"""Renders a prompt on values that nobody has written, so that its faults are found before a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from riveg.errors import UserError
from riveg.labels import Label
from riveg.llm.prompts import Prompt, load_prompt

_TEXT = "Ann Lee meets Bob on the Sea Cloud"
_CAPTION = "a woman and a man on the deck of a ship"
_SHIP = {
    "id": "e1",
    "text": "Sea Cloud",
    "label": "VESSEL",
    "fine_label": "sailing_ship",
    "expression": "a white ship with four masts",
    "description": "A sailing ship.",
    "is_shown": True,
}
_PERSON = {
    **_SHIP,
    "id": "e0",
    "text": "Ann Lee",
    "label": "PER",
    "fine_label": "",
    "expression": "a woman",
}
_LABELS = (
    Label(name="PER", description="a person", examples=("Ada Lovelace",)),
    Label(name="VESSEL", fine=("sailing_ship", "ferry")),
)

_VALUES: Mapping[str, object] = {
    "text": _TEXT,
    "caption": _CAPTION,
    "knowledge": "Ann Lee is a singer.",
    "labels": tuple({**label.model_dump(), "fine": label.fine} for label in _LABELS),
    "entity": _SHIP,
    "marked_text": _TEXT.replace("Sea Cloud", "&&Sea &&Cloud"),
    "marked_behind": f"{_TEXT.removesuffix('Sea Cloud')}Sea (&&) Cloud (&&)",
    "candidates": ("VESSEL", "PER"),
    "order": "x1, y1, x2, y2",
    "coordinates": "whole numbers, x from 0 to 1000, y from 0 to 1000",
    "similar": ({"text": _TEXT, "caption": _CAPTION, "annotation": "Named entities: none"},),
    "mention": "Ann Lee",
    "label": "PER",
    "fine_label": "singer",
    "caption_words": tuple(_CAPTION.split()),
    "uncertainty": "0.55",
    "box": "[120, 80, 640, 900]",
}
_BATCHES: Mapping[str, Mapping[str, object]] = {
    "sample": {"entities": (_PERSON, _SHIP), "others": ()},
    "entity": {"entities": (_PERSON,), "others": (_SHIP,)},
}


def probe_prompt(name: str, folder: Path) -> None:
    """Renders every block of a prompt on a probe sample, within the bounds of a run.

    A block that needs a value which no stage of riveg gives is left out.

    Args:
        name: As in :func:`~riveg.llm.prompts.load_prompt`.
        folder: Where relative paths start.

    Raises:
        UserError: If there is no such prompt, or a block fails on the sample.
    """
    prompt = load_prompt(name, folder=folder)
    for values in probes(prompt):
        for block, variables in prompt.blocks.items():
            if variables <= values.keys():
                _render(prompt, block, values)


def probes(prompt: Prompt) -> Iterator[Mapping[str, object]]:
    """The values that a prompt is tried with: all names asked about together, and one alone."""
    for batch, entities in _BATCHES.items():
        if batch == "sample" or prompt.variables & {"batch", *entities}:
            yield {**_VALUES, "batch": batch, **entities}


def _render(prompt: Prompt, block: str, values: Mapping[str, object]) -> None:
    try:
        prompt.render(block, **values)
    except UserError as error:
        raise UserError(f"on a probe sample: {error}") from error
