"""Lists of boxes in the JSON that a vision-language model writes: their schema, and how read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from riveg.geometry.frames import Frame, InsideOut
from riveg.llm.json_forms import as_asked
from riveg.llm.json_schema import fault_in
from riveg.stages.stated_boxes import WrittenBoxes


def object_of(**properties: Any) -> dict[str, Any]:
    """JSON schema of an object that has these properties, and perhaps others."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def only(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object that has no other properties."""
    return schema | {"additionalProperties": False}


def _box(kind: str) -> dict[str, Any]:
    return object_of(
        bbox_2d={"type": "array", "items": {"type": kind}, "minItems": 4, "maxItems": 4}
    )


_ACCEPTED = _box("number")

BOXES = {"type": "array", "items": _ACCEPTED}
"""What is read from any response; the server is given a narrower schema."""


def boxes_schema(frame: Frame, most: int) -> dict[str, Any]:
    """JSON schema of at most so many boxes, for the server.

    The numbers have no bounds: a server that kept to them would move a box into the frame, and
    nobody would notice that the frame is wrong.
    """
    box = only(_box("integer" if frame.is_whole else "number"))
    return {"type": "array", "items": box, "maxItems": most}


def box_list(boxes: WrittenBoxes) -> list[dict[str, Any]]:
    """The list that says these boxes."""
    return [{"bbox_2d": [*numbers]} for numbers in boxes]


@dataclass(frozen=True, slots=True)
class BoxReading:
    """What a list says.

    Args:
        boxes: The boxes that have an area, as they are written.
        faults: What is wrong with each of the others.
    """

    boxes: WrittenBoxes
    faults: tuple[str, ...] = ()


def read_box_list(items: Sequence[Any], frame: Frame) -> BoxReading:
    """What a list says, box by box."""
    boxes: list[tuple[float, ...]] = []
    faults: list[str] = []
    for number, item in enumerate((as_asked(item, _ACCEPTED) for item in items), start=1):
        wrong = fault_in(item, _ACCEPTED, f"item {number} of 'boxes'")
        if wrong is not None:
            faults.append(wrong)
            continue
        try:
            frame.check_order(item["bbox_2d"])
            boxes.append(tuple(item["bbox_2d"]))
        except InsideOut as error:
            faults.append(str(error))
    return BoxReading(tuple(boxes), tuple(faults))
