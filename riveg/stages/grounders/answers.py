"""Boxes that a vision-language model writes: the schema of its answer, and how it is read."""

from __future__ import annotations

from typing import Any

from riveg.geometry.frames import Frame, InsideOut
from riveg.llm.conversation import Response, Unparsable
from riveg.llm.json_answers import parse_json

WrittenBoxes = tuple[tuple[float, ...], ...]
"""Four numbers a box, in the model's own frame and order."""


def _object_of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _numbers(kind: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": kind}, "minItems": 4, "maxItems": 4}


_ACCEPTED = _object_of(
    boxes={"type": "array", "items": _object_of(bbox_2d=_numbers("number"))},
)
"""What is read from any response; the server is given a narrower schema."""


def answer_schema(frame: Frame, most_regions: int) -> dict[str, Any]:
    """JSON schema that the server is given.

    The numbers have no bounds: a server that kept to them would move a box into the frame, and
    nobody would notice that the frame is wrong.
    """
    numbers = _numbers("integer" if frame.is_whole else "number")
    box = _object_of(bbox_2d=numbers) | {"additionalProperties": False}
    boxes = {"type": "array", "items": box, "maxItems": most_regions}
    return _object_of(boxes=boxes) | {"additionalProperties": False}


def read_boxes(response: Response, *, frame: Frame) -> WrittenBoxes:
    """The boxes of a response as they are written.

    Raises:
        Unparsable: If it is no list of boxes, or the edges of one are in the wrong order.
    """
    boxes = tuple(tuple(item["bbox_2d"]) for item in parse_json(response, _ACCEPTED)["boxes"])
    try:
        for numbers in boxes:
            frame.check_order(numbers)
    except InsideOut as error:
        raise Unparsable(f"{error}. A box is [{frame.order}].") from error
    return boxes
