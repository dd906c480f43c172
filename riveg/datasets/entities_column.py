"""Gold in one column: a list of entities with token ranges, boxes and masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
)

from riveg.datasets.frame_values import present, whole_number
from riveg.text.spans import span_text
from riveg.text.tokenise import Offsets
from riveg.types import Box, Gold, GoldEntity, Mask, Span

_Edge = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Whole = Annotated[StrictInt, BeforeValidator(whole_number)]
_Missing = BeforeValidator(present)


class _MaskCell(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    height: _Whole = Field(ge=1)
    width: _Whole = Field(ge=1)
    counts: StrictStr
    source: Annotated[StrictStr | None, _Missing] = None


class _EntityCell(BaseModel):
    """``start`` and ``end`` are tokens, half-open; ``text`` may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Annotated[StrictStr | None, _Missing] = None
    label: StrictStr = Field(min_length=1)
    start: _Whole = Field(ge=0)
    end: _Whole
    fine_label: Annotated[StrictStr | None, _Missing] = None
    boxes: Annotated[tuple[tuple[_Edge, _Edge, _Edge, _Edge], ...] | None, _Missing] = None
    masks: Annotated[tuple[_MaskCell, ...] | None, _Missing] = None


_CELLS = TypeAdapter(tuple[_EntityCell, ...])


def encode_entities(gold: Gold) -> list[dict[str, Any]]:
    """The column's value, from which :func:`decode_entities` makes the same entities."""
    return [_encoded(entity) for entity in gold.entities]


def _encoded(entity: GoldEntity) -> dict[str, Any]:
    return {
        "text": entity.text,
        "label": entity.label,
        "start": entity.span.start,
        "end": entity.span.end,
        "fine_label": entity.fine_label,
        "boxes": None
        if entity.boxes is None
        else [[float(edge) for edge in _edges(box)] for box in entity.boxes],
        "masks": None
        if entity.masks is None
        else [
            {"height": m.height, "width": m.width, "counts": m.counts, "source": m.source}
            for m in entity.masks
        ],
    }


def decode_entities(
    value: object, text: str, offsets: Offsets, label_map: Mapping[str, str]
) -> tuple[GoldEntity, ...]:
    """The entities of a sample.

    Raises:
        ValueError: If one is malformed, reaches past the last token, or has an impossible box or
            mask; the message says which.
    """
    try:
        cells = _CELLS.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise ValueError(f"entities: {key}: {first['msg']}") from error
    return tuple(
        _entity(cell, number, text, offsets, label_map) for number, cell in enumerate(cells)
    )


def _entity(
    cell: _EntityCell, number: int, text: str, offsets: Offsets, label_map: Mapping[str, str]
) -> GoldEntity:
    if not cell.start < cell.end <= len(offsets):
        raise ValueError(
            f"entities: {number}: tokens [{cell.start}, {cell.end}) of a post with {len(offsets)}"
        )
    covered = span_text(text, offsets, Span(cell.start, cell.end))
    try:
        boxes = None if cell.boxes is None else tuple(Box(*edges) for edges in cell.boxes)
        masks = None if cell.masks is None else tuple(map(_mask, cell.masks))
    except ValueError as error:
        raise ValueError(f"entities: {number}: {error}") from error
    return GoldEntity(
        text=covered if cell.text is None else cell.text,
        label=label_map.get(cell.label, cell.label),
        span=Span(cell.start, cell.end),
        fine_label=cell.fine_label,
        boxes=boxes,
        masks=masks,
    )


def _mask(cell: _MaskCell) -> Mask:
    from riveg.geometry.masks import mask_area  # loads pycocotools, so only for sets with masks

    mask = Mask(cell.height, cell.width, cell.counts, cell.source)
    mask_area(mask)
    return mask


def _edges(box: Box) -> tuple[float, float, float, float]:
    return box.x_min, box.y_min, box.x_max, box.y_max
