"""Answers and gold as the scorer sees them, from E2E-GMNER's text, riveg's JSON or SAKE's list."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from riveg.datasets.dataset import quoted
from riveg.errors import UserError
from riveg.evaluation.cases import AnnotatedEntity, PredictedEntity
from riveg.formats.e2e_answer import answer_text
from riveg.formats.sake import parse_entities
from riveg.geometry.frames import FRAMES
from riveg.llm.conversation import Response, Unparsable
from riveg.stages.extractors.answers import FORMS, StatedEntity
from riveg.types import Box, Region

Gold: TypeAlias = "str | Sequence[Any] | Mapping[str, Any]"
"""Gold in any form of an answer, with or without a thought before it, or the value of its JSON."""

_BLOCKS = re.compile(
    r"\s*<(?P<name>think|reason)>(?:(?!</?(?:think|reason|answer)>).)*</(?P=name)>"
    r"\s*<answer>(?:(?!</?(?:think|reason|answer)>).)*</answer>\s*",
    re.DOTALL,
)
"""A thought, then an answer, and nothing else."""

_FENCE = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.DOTALL)
_ANY_FRAME = FRAMES["norm1"]
"""Nothing is converted: answer and gold stand in one frame, and an IoU is the same in any."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says.

    Args:
        entities: Its entities; their boxes are as they are written.
        is_in_form: Whether it is written as it was asked for: a thought and an answer in their
            blocks, or one JSON object and nothing else, and all of it can be read.
    """

    entities: tuple[PredictedEntity, ...]
    is_in_form: bool


def read_answer(answer: str) -> Reading | None:
    """What an answer says; ``None`` where nothing in it can be read."""
    body = answer_text(answer).strip()
    if not body:
        return None
    try:
        stated, is_whole = _stated(body)
    except Unparsable:
        return None
    in_form = _BLOCKS.fullmatch(answer) is not None or _is_json(answer)
    return Reading(tuple(map(_predicted, stated)), is_whole and in_form)


def read_gold(gold: Gold) -> tuple[AnnotatedEntity, ...]:
    """The annotated entities.

    Raises:
        UserError: If a part of it cannot be read.
    """
    try:
        text = gold if isinstance(gold, str) else json.dumps(gold, default=_plain)
    except (TypeError, ValueError, RecursionError):
        text = ""  # as no text and no JSON is read
    body = answer_text(text).strip()
    try:
        stated, is_whole = _stated(body)
    except Unparsable:
        stated, is_whole = (), False
    if not body or not is_whole:
        raise UserError(
            f"the gold {quoted(text or repr(gold))} cannot be read: expected "
            "mention|type|[x1,y1,x2,y2]; ... or None, JSON with a list 'entities', or a list of "
            "entity, type and bbox"
        )
    return tuple(
        AnnotatedEntity(one.words, one.label, boxes=tuple(Box(*box) for box in one.boxes or ()))
        for one in stated
    )


def _plain(value: Any) -> Any:
    """An array, as data frames hold lists, as a list.

    Raises:
        TypeError: If it is none.
    """
    if not hasattr(value, "tolist"):
        raise TypeError(f"{type(value).__name__} is no value of JSON")
    return value.tolist()


def _stated(body: str) -> tuple[Sequence[StatedEntity], bool]:
    """The entities of an answer without its thought, and whether that is all of it.

    Raises:
        Unparsable: If it is none.
    """
    fenced = _FENCE.fullmatch(body)
    text = body if fenced is None else fenced[1].strip()
    if text.startswith("[") and (entries := _sake(text)) is not None:
        return entries, all(one.boxes is not None for one in entries)
    statement = FORMS[_form_of(text)].read(Response(text, "stop"), _ANY_FRAME)
    faults = [*statement.faults, *(fault for one in statement.entities for fault in one.faults)]
    return statement.entities, not faults


def _form_of(text: str) -> str:
    """JSON may have faults that its reader mends; the words of a triple may begin as it does."""
    looks_so = text.startswith(("[{", "{")) and "|" not in text
    return "json" if looks_so or _is_json(text) else "triples"


def _sake(text: str) -> Sequence[StatedEntity] | None:
    """The entries of SAKE's list; ``None`` where it is none."""
    try:
        entries = parse_entities(text)
    except ValueError:
        return None
    return [
        StatedEntity(
            one.words,
            one.label,
            1,
            one.boxes if all(map(_is_box, one.boxes)) else None,
            (0, 0),
        )
        for one in entries
    ]


def _is_box(edges: Sequence[float]) -> bool:
    try:
        Box(*edges)
    except ValueError:
        return False
    return True


def _predicted(stated: StatedEntity) -> PredictedEntity:
    # Boxes that cannot be read say that the image shows the entity, but not where.
    regions = None if stated.boxes is None else tuple(Region(Box(*one)) for one in stated.boxes)
    return PredictedEntity(
        stated.words, stated.label, groundable=stated.boxes != (), regions=regions
    )


def _is_json(text: str) -> bool:
    """Whether all of a text is a JSON object."""
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
