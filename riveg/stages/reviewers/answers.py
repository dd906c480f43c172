"""What a reviewer answers about words, type and place: the schemas, and how they are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from riveg.geometry.frames import Frame
from riveg.llm.answer_marks import without_markup
from riveg.llm.conversation import Response, Unparsable
from riveg.llm.json_answers import parse_json
from riveg.stages.box_lists import BOXES, boxes_schema, object_of, only, read_box_list
from riveg.stages.named_spans import LabelledSpan, SpanFinder
from riveg.stages.rerankers.answers import read_label
from riveg.stages.stated_boxes import WrittenBoxes
from riveg.text.spans import span_text
from riveg.types import Entity, Sample, Span

UNSURE = "unsure"
"""The answer that leaves things as they are."""

_YES, _NO = "yes", "no"
_LONGEST = 200
"""Characters of an entity's words."""
_MOST_REGIONS = 1

_REASON: dict[str, Any] = {"type": "string", "maxLength": 400}
_SPAN = object_of(entity={"type": "string"})
_REGION = {
    "type": "object",
    "properties": {"shown": {"type": "string", "enum": [_YES, _NO, UNSURE]}, "boxes": BOXES},
    "required": ["shown"],
}
"""What is read from any response; the server is given narrower schemas."""


def span_schema() -> dict[str, Any]:
    """JSON schema of an answer about an entity's words."""
    words = {"type": "string", "minLength": 1, "maxLength": _LONGEST}
    return only(object_of(reason=_REASON, entity=words))


def type_schema(candidates: Sequence[str]) -> dict[str, Any]:
    """JSON schema of an answer about its type: one of the candidates, or unsure."""
    label = {"type": "string", "enum": [*candidates, UNSURE]}
    return only(object_of(reason=_REASON, label=label))


def region_schema(frame: Frame) -> dict[str, Any]:
    """JSON schema of an answer about its place."""
    shown = _REGION["properties"]["shown"]  # type: ignore[index]
    boxes = boxes_schema(frame, _MOST_REGIONS)
    return only(object_of(reason=_REASON, shown=shown, boxes=boxes))


def read_span(response: Response, *, sample: Sample, entity: Entity) -> Span | None:
    """The tokens that are the whole name; ``None``: unsure.

    Of several places with these words the first counts that shares a token with the entity.

    Raises:
        Unparsable: If the words are not in the text, share no token with the entity, or reach into
            another one.
    """
    words = parse_json(response, _SPAN)["entity"]
    if words != entity.text and without_markup(words).casefold() == UNSURE:
        return None
    span = _own_place(words, sample, entity)
    for other in sample.entities or ():
        if other.id != entity.id and _share_token(span, other.span):
            raise Unparsable(f"{words!r} reaches into another name, {other.text!r}.")
    return span


def _own_place(words: str, sample: Sample, entity: Entity) -> Span:
    places = list(_places(words, sample, entity.label))
    for span in places:
        if _share_token(span, entity.span):
            return span
    own = span_text(sample.text, sample.offsets, entity.span)
    raise Unparsable(f"{words!r} is another name: it has no word of the marked {own!r}.")


def _places(words: str, sample: Sample, label: str) -> Iterator[Span]:
    """Every place of the words, from the left.

    Raises:
        Unparsable: If there is none.
    """
    finder = SpanFinder(sample, (label,))
    before: Span | None = None
    for occurrence in range(1, len(sample.tokens) + 1):
        found = finder.find(words, label, occurrence)
        if not isinstance(found, LabelledSpan):
            if before is None:
                raise Unparsable(f"{found.message}. Copy the words from the post.")
            return
        if found.span == before:  # the only place, whatever the number
            return
        before = found.span
        yield found.span


def _share_token(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


def read_type(response: Response, *, candidates: Sequence[str]) -> str | None:
    """The candidate that is named; ``None``: unsure.

    Raises:
        Unparsable: If none is named, or several are.
    """
    named = read_label(response, candidates=(*candidates, UNSURE))
    return None if named == UNSURE else named


def read_region(response: Response, *, frame: Frame) -> WrittenBoxes | None:
    """The box as it is written, ``()`` where the image does not show the entity; ``None``: unsure.

    Raises:
        Unparsable: If yes comes without a box, no with one, or a box is none.
    """
    said = parse_json(response, _REGION)
    shown, boxes = said["shown"], said.get("boxes", [])
    if shown == UNSURE:
        return None
    if (shown == _YES) != bool(boxes):
        raise Unparsable("'shown' is yes where there is a box, and no where there is none.")
    reading = read_box_list(boxes, frame)
    if reading.faults:
        raise Unparsable(f"{reading.faults[0]}. A box is [{frame.order}].")
    return reading.boxes[:_MOST_REGIONS]
