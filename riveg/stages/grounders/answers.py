"""Boxes that a vision-language model writes: the schema of its answer, and how it is read."""

from __future__ import annotations

import json
from typing import Any

from riveg.geometry.frames import Frame
from riveg.llm.conversation import Response, Unparsable
from riveg.llm.json_answers import parse_json
from riveg.stages.box_lists import (
    BOXES,
    BoxReading,
    box_list,
    boxes_schema,
    object_of,
    only,
    read_box_list,
)
from riveg.stages.stated_boxes import WrittenBoxes

_ACCEPTED = object_of(boxes=BOXES)
_ANY_LIST = object_of(boxes={"type": "array"})
"""What is read once the model was asked again: some of its boxes may be none."""


def answer_schema(frame: Frame, most_regions: int) -> dict[str, Any]:
    """JSON schema that the server is given."""
    return only(object_of(boxes=boxes_schema(frame, most_regions)))


def write_boxes(boxes: WrittenBoxes) -> str:
    """The answer that says these boxes."""
    return json.dumps({"boxes": box_list(boxes)})


def read_faultless_boxes(response: Response, *, frame: Frame) -> WrittenBoxes:
    """The boxes of a response as they are written.

    Raises:
        Unparsable: If it is no list of boxes, or one of them is none or has its edges in the wrong
            order.
    """
    reading = read_box_list(parse_json(response, _ACCEPTED)["boxes"], frame)
    if reading.faults:
        raise Unparsable(f"{reading.faults[0]}. A box is [{frame.order}].")
    return reading.boxes


def read_boxes(response: Response, *, frame: Frame) -> BoxReading:
    """What a response says, box by box.

    Raises:
        Unparsable: If it is no list.
    """
    return read_box_list(parse_json(response, _ANY_LIST)["boxes"], frame)
