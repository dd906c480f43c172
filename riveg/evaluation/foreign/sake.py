"""SAKE's answers: JSON lines, or an array, with its list of entities under one key."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from riveg.evaluation.cases import PredictedEntity
from riveg.evaluation.foreign.e2e import DEGENERATE, read_answers
from riveg.evaluation.foreign.predictions import ForeignFile
from riveg.evaluation.foreign.sysu import MISC, OTHER
from riveg.formats.e2e_answer import answer_text
from riveg.geometry.frames import FRAMES
from riveg.llm.conversation import Response, Unparsable
from riveg.stages.extractors.answers import FORMS, StatedEntity
from riveg.types import Box, Region

_DROPPED = "entries without entity, type and box2d"
_NO_LIST = "answers that are no list of entities"
_FRAME = "boxes are taken as pixels of the original image, and not of the resized one"
_RENAMED = f"the type {MISC} is read as {OTHER}"
_ANY_FRAME = FRAMES["norm1"]
"""Only the order of a box's numbers is asked of it; nothing is converted."""


def read_sake(path: Path) -> ForeignFile:
    """One sample per object, with boxes in pixels of the original image.

    The answer is ``[{"entity", "type", "box2d": [x_min, y_min, x_max, y_max]}]``, as a list or as
    text, in a block ``<answer>`` or without one. Entries with the same words and type are one
    entity with several boxes, as ``extract: chat`` reads them. Ids are those of :func:`read_e2e`;
    the type MISC is OTHER, as the datasets call it.

    Raises:
        UserError: If an object has no answer, or more than one, or only some objects have an id.
    """
    return read_answers(path, "sake", _entities, notes=(_FRAME, _RENAMED))


def is_sake(answer: object) -> bool:
    """Whether an answer is such a list, perhaps an empty one."""
    if isinstance(answer, list):
        return all(isinstance(entry, dict) for entry in answer)
    body = "".join(answer_text(answer).split()[:2]) if isinstance(answer, str) else ""
    return body.startswith("[{") or body == "[]"


def _entities(answer: object, lost: Counter[str]) -> tuple[PredictedEntity, ...]:
    text = answer_text(answer) if isinstance(answer, str) else json.dumps(answer)
    try:
        statement = FORMS["entity-lists"].read(Response(text, "stop"), _ANY_FRAME)
    except Unparsable:
        lost[_NO_LIST] += 1
        return ()
    lost[_DROPPED] += len(statement.faults)
    return tuple(_predicted(one, lost) for one in statement.entities)


def _predicted(stated: StatedEntity, lost: Counter[str]) -> PredictedEntity:
    lost[DEGENERATE] += len(stated.faults)
    # A box that cannot be read says that the image shows the entity, but not where.
    is_shown = stated.boxes != () or bool(stated.faults)
    regions = tuple(Region(Box(*one)) for one in stated.boxes or ())
    return PredictedEntity(
        stated.words,
        OTHER if stated.label == MISC else stated.label,
        groundable=is_shown,
        regions=regions if regions or not is_shown else None,
    )
