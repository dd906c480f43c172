"""SAKE's list of entities, in its data and in its model's answers: an entry for each box."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    Field,
    StrictStr,
    TypeAdapter,
    ValidationError,
)

from riveg.formats.e2e_answer import Corners


def each_box(value: object) -> object:
    """One box as a list of boxes; nowhere (``null``, ``[]``, four zeros) as an empty one."""
    if value is None or value == [0, 0, 0, 0]:
        return []
    is_one = isinstance(value, list) and value and not isinstance(value[0], list)
    return [value] if is_one else value


_Edge = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Boxes = Annotated[tuple[tuple[_Edge, _Edge, _Edge, _Edge], ...], BeforeValidator(each_box)]


class _Entry(BaseModel):
    entity: StrictStr = Field(min_length=1)
    type: StrictStr = Field(min_length=1)
    boxes: _Boxes = Field(default=(), validation_alias=AliasChoices("bbox", "box2d"))


_ENTRIES = TypeAdapter(list[_Entry])


@dataclass(frozen=True, slots=True)
class SakeEntity:
    """An entry: its words, its type, and its boxes as they are written, ``()`` for nowhere."""

    words: str
    label: str
    boxes: tuple[Corners, ...]


def parse_entities(value: object) -> tuple[SakeEntity, ...]:
    """The entries of a list; none is merged with another.

    ``bbox`` (in data) or ``box2d`` (in answers) is four numbers, a list of such, or for nowhere
    ``[]``, ``null`` or four zeros.

    Args:
        value: The list, or JSON text of it.

    Raises:
        ValueError: If it is none; the message says which entry.

    >>> parse_entities('[{"entity": "NASA", "type": "ORG", "bbox": []}]')
    (SakeEntity(words='NASA', label='ORG', boxes=()),)
    """
    try:
        entries = _ENTRIES.validate_python(json.loads(value) if isinstance(value, str) else value)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"][:2])) or "all of it"
        raise ValueError(f"{where}: {first['msg']}") from error
    return tuple(SakeEntity(one.entity.strip(), one.type.strip(), one.boxes) for one in entries)
