"""Boxes that a vision-language model writes: the schema of its answer, and how it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from riveg.geometry.frames import Frame, InsideOut
from riveg.llm.conversation import Response, Unparsable
from riveg.llm.json_answers import parse_json
from riveg.llm.json_forms import as_asked
from riveg.llm.json_schema import fault_in
from riveg.stages.stated_boxes import WrittenBoxes


def _object_of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _numbers(kind: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": kind}, "minItems": 4, "maxItems": 4}


_BOX = _object_of(bbox_2d=_numbers("number"))
_ACCEPTED = _object_of(boxes={"type": "array", "items": _BOX})
"""What is read from any response; the server is given a narrower schema."""
_ANY_LIST = _object_of(boxes={"type": "array"})
"""What is read once the model was asked again: some of its boxes may be none."""


def answer_schema(frame: Frame, most_regions: int) -> dict[str, Any]:
    """JSON schema that the server is given.

    The numbers have no bounds: a server that kept to them would move a box into the frame, and
    nobody would notice that the frame is wrong.
    """
    numbers = _numbers("integer" if frame.is_whole else "number")
    box = _object_of(bbox_2d=numbers) | {"additionalProperties": False}
    boxes = {"type": "array", "items": box, "maxItems": most_regions}
    return _object_of(boxes=boxes) | {"additionalProperties": False}


@dataclass(frozen=True, slots=True)
class BoxReading:
    """What a response says.

    Args:
        boxes: The boxes that have an area, as they are written.
        faults: What is wrong with each of the others.
    """

    boxes: WrittenBoxes
    faults: tuple[str, ...] = ()


def read_faultless_boxes(response: Response, *, frame: Frame) -> WrittenBoxes:
    """The boxes of a response as they are written.

    Raises:
        Unparsable: If it is no list of boxes, or one of them is none or has its edges in the wrong
            order.
    """
    reading = _reading(parse_json(response, _ACCEPTED)["boxes"], frame)
    if reading.faults:
        raise Unparsable(f"{reading.faults[0]}. A box is [{frame.order}].")
    return reading.boxes


def read_boxes(response: Response, *, frame: Frame) -> BoxReading:
    """What a response says, box by box.

    Raises:
        Unparsable: If it is no list.
    """
    return _reading(parse_json(response, _ANY_LIST)["boxes"], frame)


def _reading(items: Sequence[Any], frame: Frame) -> BoxReading:
    boxes: list[tuple[float, ...]] = []
    faults: list[str] = []
    for number, item in enumerate((as_asked(item, _BOX) for item in items), start=1):
        wrong = fault_in(item, _BOX, f"item {number} of 'boxes'")
        if wrong is not None:
            faults.append(wrong)
            continue
        try:
            frame.check_order(item["bbox_2d"])
            boxes.append(tuple(item["bbox_2d"]))
        except InsideOut as error:
            faults.append(str(error))
    return BoxReading(tuple(boxes), tuple(faults))
