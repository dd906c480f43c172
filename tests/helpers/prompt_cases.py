"""Values for every shipped prompt, and the text that its blocks become with them.

Run as a program, it writes the texts of prompts that have none yet, and tells their fingerprints.
"""

from __future__ import annotations

import sys
from pathlib import Path

from helpers.places import TESTS
from riveg.labels import Label
from riveg.llm.prompts import Prompt, load_prompt, shipped_prompts

GOLDEN = TESTS / "golden" / "prompts"

LABELS = tuple(
    label.model_dump()
    for label in (
        Label(name="PER", description="a person", examples=("Serena Williams", "Harry Potter")),
        Label(name="VESSEL", description="a ship by name"),
        Label(name="OTHER"),
    )
)

TEXT = "Eileen Collins back on the USS Midway {{ 7*7 }} <b>"
CAPTION = "a woman in a suit on the deck of a ship"
ENTITY = {"id": "e0", "text": "Eileen Collins", "label": "PER"}
SHIP = {"id": "e1", "text": "USS Midway", "label": "VESSEL"}
SEEN = {**ENTITY, "expression": "woman in a suit", "description": "A woman with short hair."}

VALUES: dict[str, dict[str, object]] = {
    "augment/gem.v1": {"labels": LABELS, "text": TEXT, "caption": CAPTION},
    "augment/pgim.v1": {
        "labels": LABELS,
        "text": TEXT,
        "caption": CAPTION,
        "similar": (
            {"text": "Ann sails", "caption": "", "annotation": "Named entities: 1. Ann (PER)"},
            {"text": "all aboard", "caption": "a ship", "annotation": "Named entities: none"},
        ),
    },
    "caption/short.v1": {},
    "entail/yes_no.v1": {"labels": LABELS, "text": TEXT, "caption": CAPTION, "entity": SEEN},
    "extract/e2e-gmner.v1": {
        "order": "x1, y1, x2, y2",
        "labels": LABELS,
        "text": TEXT,
        "coordinates": "0 at the left and top edge, 1000 at the right and bottom edge",
    },
    "extract/json.v1": {
        "order": "x1, y1, x2, y2",
        "labels": LABELS,
        "text": TEXT,
        "caption": CAPTION,
        "knowledge": "She flew the shuttle.",
        "coordinates": "0 at the left and top edge, 1000 at the right and bottom edge",
    },
    "extract/sake.v1": {
        "order": "x1, y1, x2, y2",
        "labels": LABELS,
        "text": TEXT,
        "coordinates": "whole numbers, x from 0 to 812, y from 0 to 560",
    },
    "ground/boxes.v1": {
        "order": "x1, y1, x2, y2",
        "labels": LABELS,
        "text": TEXT,
        "entity": SEEN,
        "coordinates": "0 at the left and top edge, 1000 at the right and bottom edge",
    },
    "reasoning/e2e-gmner.v1": {
        "labels": LABELS,
        "text": TEXT,
        "caption": CAPTION,
        "entities": ({**ENTITY, "is_shown": True}, {**SHIP, "is_shown": False}),
    },
    "rerank/gem.v1": {
        "labels": LABELS,
        "marked_text": "Eileen Collins back on the &&USS &&Midway",
        "caption": CAPTION,
        "entity": SHIP,
        "candidates": ("VESSEL", "OTHER"),
    },
    "rerank/gem.v2": {
        "labels": LABELS,
        "marked_behind": "Eileen Collins back on the USS (&&) Midway (&&)",
        "caption": CAPTION,
        "entity": SHIP,
        "candidates": ("VESSEL", "OTHER"),
    },
    "review/region.v1": {
        "order": "x1, y1, x2, y2",
        "labels": LABELS,
        "text": TEXT,
        "entity": SEEN,
        "box": "[10, 20, 300, 400]",
        "coordinates": "0 at the left and top edge, 1000 at the right and bottom edge",
        "uncertainty": "0.62",
    },
    "review/span.v1": {
        "labels": LABELS,
        "caption": CAPTION,
        "marked_text": "Eileen Collins back on the USS &&Midway",
        "entity": SHIP,
        "uncertainty": "0.55",
    },
    "review/type.v1": {
        "labels": LABELS,
        "caption": CAPTION,
        "marked_text": "Eileen Collins back on the &&USS &&Midway",
        "entity": {**SHIP, "fine_label": ""},
        "candidates": ("PER", "VESSEL", "OTHER"),
        "uncertainty": "0.31",
    },
    "rewrite/appearance.v1": {
        "batch": "sample",
        "labels": LABELS,
        "text": TEXT,
        "caption": CAPTION,
        "knowledge": "She flew the shuttle.",
        "entities": (ENTITY, SHIP),
    },
    "rewrite/riveg.v1": {
        "batch": "sample",
        "labels": LABELS,
        "text": TEXT,
        "caption": CAPTION,
        "entities": (ENTITY, SHIP),
    },
    "rewrite/riveg.v2": {
        "batch": "sample",
        "labels": LABELS,
        "text": TEXT,
        "caption": CAPTION,
        "entities": (ENTITY, SHIP),
    },
    "rewrite/template.v1": {
        "mention": "Eileen Collins",
        "label": "PER",
        "caption_words": ("a", "woman", "in", "a", "suit"),
    },
    "rewrite/visual.v1": {
        "labels": LABELS,
        "text": TEXT,
        "caption": CAPTION,
        "knowledge": "She flew the shuttle.",
        "entities": (ENTITY,),
        "others": (SHIP,),
    },
    "tag/entities.v1": {
        "labels": LABELS,
        "text": TEXT,
        "caption": CAPTION,
        "knowledge": "She flew the shuttle.",
    },
}
"""One value for each variable of each shipped prompt."""

VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "rewrite/riveg.v1.entity": (
        "rewrite/riveg.v1",
        {"batch": "entity", "labels": (), "caption": ""},
    ),
    "rewrite/riveg.v2.entity": (
        "rewrite/riveg.v2",
        {"batch": "entity", "labels": (), "caption": ""},
    ),
    "rewrite/appearance.v1.entity": (
        "rewrite/appearance.v1",
        {"batch": "entity", "labels": (), "caption": "", "knowledge": ""},
    ),
    "review/region.v1.bare": ("review/region.v1", {"labels": (), "box": ""}),
    "rewrite/visual.v1.bare": (
        "rewrite/visual.v1",
        {"labels": (), "caption": "", "knowledge": "", "others": ()},
    ),
    "augment/pgim.v1.bare": ("augment/pgim.v1", {"labels": (), "caption": "", "similar": ()}),
}
"""Further texts of a prompt, with other values for some of its variables."""


def cases() -> dict[str, tuple[Prompt, dict[str, object]]]:
    """Each text's name with its prompt and all values."""
    plain = {name: (load_prompt(name), values) for name, values in VALUES.items()}
    further = {
        case: (load_prompt(name), {**VALUES[name], **values})
        for case, (name, values) in VARIANTS.items()
    }
    return {**plain, **further}


def rendered(prompt: Prompt, values: dict[str, object]) -> str:
    """All blocks, each below its name."""
    return "".join(f"=== {block}\n{prompt.render(block, **values)}\n" for block in prompt.blocks)


def golden_file(case: str) -> Path:
    """Where the text of a case is."""
    return GOLDEN / f"{case.replace('/', '.')}.txt"


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for case, (prompt, values) in cases().items():
        if not golden_file(case).exists():
            golden_file(case).write_text(rendered(prompt, values), encoding="utf-8")
    for name in shipped_prompts():
        sys.stdout.write(f'    "{name}": "{load_prompt(name).fingerprint}",\n')
