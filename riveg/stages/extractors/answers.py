"""The forms in which a model states entities with their boxes, each with how it is read."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from riveg.formats.e2e_answer import Corners, Triple, answer_text, format_answer, parse_answer
from riveg.formats.sake import each_box
from riveg.geometry.frames import Frame
from riveg.llm.conversation import Refused, Response, Unparsable
from riveg.llm.json_answers import parse_json
from riveg.llm.json_forms import as_asked
from riveg.llm.json_schema import fault_in
from riveg.llm.refusals import refuses
from riveg.stages.box_lists import box_list, boxes_schema, object_of, only, read_box_list
from riveg.stages.named_spans import BAD_ENTITY, Fault
from riveg.stages.stated_boxes import BAD_BOX, WrittenBoxes

_LONGEST = 200
"""Characters of an entity's words."""


@dataclass(frozen=True, slots=True)
class StatedEntity:
    """An entity as a model states it.

    Args:
        words: Its words, copied from the post.
        label: Its label, in the model's spelling.
        occurrence: Which of the places with these words is meant, from 1.
        boxes: In the model's frame; ``()``: the image does not show it; ``None``: unreadable.
        part: Where it is stated in the text of the response, from where to where.
        faults: What is wrong with boxes of its that are left out.
    """

    words: str
    label: str
    occurrence: int
    boxes: WrittenBoxes | None
    part: tuple[int, int]
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """What a response says: its entities, and what is wrong with the pieces that are none."""

    entities: tuple[StatedEntity, ...]
    faults: tuple[Fault, ...] = ()


class AnswerForm(Protocol):
    """A form of answer, read and written; both are pure, and reading raises :class:`Unparsable`.

    ``needs_types``: whether a model that answers in it has to be told the types.
    ``takes_thoughts``: whether a thought may stand before the answer.
    """

    needs_types: ClassVar[bool]
    takes_thoughts: ClassVar[bool]

    def schema(
        self, labels: Sequence[str], frame: Frame, *, entities: int, regions: int
    ) -> dict[str, Any] | None:
        """JSON schema that the server is given; ``None``: free text."""

    def read(self, response: Response, frame: Frame) -> Statement:
        """What a response says, entity by entity."""

    def write(self, entities: Sequence[StatedEntity], thoughts: str = "") -> str:
        """The answer that says these entities, behind a thought where the form takes one."""


class Triples:
    """E2E-GMNER's: ``mention|type|[x1,y1,x2,y2]`` or ``None``, with semicolons between."""

    needs_types: ClassVar[bool] = False
    takes_thoughts: ClassVar[bool] = True

    def schema(self, *_: object, **__: object) -> None:
        """Free text."""
        return

    def read(self, response: Response, frame: Frame) -> Statement:
        """What a response says.

        Raises:
            Unparsable: If nothing in it is an entity, and it does not say that there is none.
        """
        text = answer_text(response.text)
        parsed = parse_answer(text)
        if parsed.dropped and not parsed.triples:
            if refuses(text):
                raise Refused("The answer is a refusal. Give the entities, or None.")
            raise Unparsable(
                "The answer names no entity. Give mention|type|[x1,y1,x2,y2] or mention|type|None "
                "for each, with ; between them, or None if there is no entity."
            )
        seen: Counter[str] = Counter()
        entities = []
        begin = max(response.text.rfind(text), 0)
        for one in parsed.triples:
            seen[one.mention] += 1
            boxes, faults = _read_boxes([[*box] for box in one.boxes or ()], frame)
            if one.boxes is None:
                wrong = f"the region of {one.mention!r} is neither boxes nor None"
                boxes, faults = None, (Fault(BAD_BOX, wrong),)
            at = response.text.find(one.piece, begin)
            begin = max(at, begin)
            part = (at, at + len(one.piece)) if at >= 0 else (0, 0)
            entities.append(
                StatedEntity(one.mention, one.label, seen[one.mention], boxes, part, faults)
            )
        dropped = f"{parsed.dropped} pieces of the answer are not mention|type|region"
        return Statement(tuple(entities), (Fault(BAD_ENTITY, dropped),) if parsed.dropped else ())

    def write(self, entities: Sequence[StatedEntity], thoughts: str = "") -> str:
        """The answer behind a thought; without one it is empty, as the released program trains."""
        triples = (Triple(one.words, one.label, _corners(one.boxes)) for one in entities)
        return f"<think>{thoughts}</think><answer>{format_answer(triples)}</answer>"


@dataclass(frozen=True, slots=True)
class _Keys:
    """How a JSON form calls the parts of an entity."""

    words: str
    label: str
    boxes: str

    @property
    def item(self) -> dict[str, Any]:
        """JSON schema of what is read of any response."""
        text = {"type": "string"}
        parts = {self.words: text, self.label: text, self.boxes: {"type": "array"}}
        return object_of(**parts)


_ANY_LIST = object_of(entities={"type": "array", "items": {}})
"""What is read of any response; the server is given a narrower schema."""


class JsonEntities:
    """``{"entities": [{"text", "label", "occurrence", "boxes": [{"bbox_2d"}]}]}``."""

    needs_types: ClassVar[bool] = True
    takes_thoughts: ClassVar[bool] = False
    _KEYS = _Keys("text", "label", "boxes")

    def schema(
        self, labels: Sequence[str], frame: Frame, *, entities: int, regions: int
    ) -> dict[str, Any]:
        """Lists and words have a highest length."""
        item = object_of(
            text={"type": "string", "minLength": 1, "maxLength": _LONGEST},
            label={"type": "string", "enum": list(labels)},
            occurrence={"type": "integer", "minimum": 1, "maximum": 99},
            boxes=boxes_schema(frame, regions),
        )
        listed = {"type": "array", "items": only(item), "maxItems": entities}
        return only(object_of(entities=listed))

    def read(self, response: Response, frame: Frame) -> Statement:
        """What a response says.

        Raises:
            Unparsable: If it is no list of entities.
        """
        items = parse_json(response, _ANY_LIST)["entities"]
        return _listed_entities(response, items, self._KEYS, frame)

    def write(self, entities: Sequence[StatedEntity], thoughts: str = "") -> str:  # noqa: ARG002
        """The answer's JSON on one line."""
        items = [
            {
                "text": one.words,
                "label": one.label,
                "occurrence": one.occurrence,
                "boxes": box_list(one.boxes or ()),
            }
            for one in entities
        ]
        return json.dumps({"entities": items}, ensure_ascii=False)


_SEARCHES = re.compile(r"<(?:text|image)_search>")


class EntityLists:
    """SAKE's: ``[{"entity", "type", "box2d": [x1, y1, x2, y2]}]``, ``[]`` for no box.

    An entity with several boxes stands in the list once for each.
    """

    needs_types: ClassVar[bool] = False
    takes_thoughts: ClassVar[bool] = True
    _KEYS = _Keys("entity", "type", "box2d")

    def schema(self, *_: object, **__: object) -> None:
        """Free text: a thought stands before the list."""
        return

    def read(self, response: Response, frame: Frame) -> Statement:
        """What a response says.

        Raises:
            Unparsable: If it is no list of entities, or asks for a search.
        """
        if _SEARCHES.search(response.text) and "<answer>" not in response.text:
            raise Unparsable(
                "The answer asks for a search, and there is none. Give <answer>[...]</answer> "
                "from what you know and see."
            )
        items = map(_with_boxes, parse_json(response, _ANY_LIST)["entities"])
        statement = _listed_entities(response, [*items], self._KEYS, frame)
        entities: list[StatedEntity] = []
        for one in statement.entities:
            _add(entities, one)
        return replace(statement, entities=tuple(entities))

    def write(self, entities: Sequence[StatedEntity], thoughts: str = "") -> str:
        """The answer behind a thought, which may be empty."""
        items = [
            {"entity": one.words, "type": one.label, "box2d": [*box]}
            for one in entities
            for box in one.boxes or ((),)
        ]
        return (
            f"<reason>{thoughts}</reason><answer>{json.dumps(items, ensure_ascii=False)}</answer>"
        )


def _with_boxes(item: Any) -> Any:
    """An item of SAKE's with a list of boxes instead of one, or of none."""
    is_entry = isinstance(item, dict) and "box2d" in item
    return {**item, "box2d": each_box(item["box2d"])} if is_entry else item


def _add(entities: list[StatedEntity], new: StatedEntity) -> None:
    """Adds an entity, or its box to the same entity before it; else it is the next mention."""
    same = [
        at for at, one in enumerate(entities) if (one.words, one.label) == (new.words, new.label)
    ]
    if not same:
        entities.append(new)
        return
    last = entities[same[-1]]
    if last.boxes and new.boxes and not {*new.boxes} <= {*last.boxes}:
        boxes = (*last.boxes, *new.boxes)
        entities[same[-1]] = replace(last, boxes=boxes, faults=(*last.faults, *new.faults))
    else:
        entities.append(replace(new, occurrence=last.occurrence + 1))


def _listed_entities(
    response: Response, items: Sequence[Any], keys: _Keys, frame: Frame
) -> Statement:
    """The entities of a response's list, and what is wrong with the items that are none."""
    read = [as_asked(item, keys.item) for item in items]
    parts = _parts(response.text, read, keys.words)
    entities: list[StatedEntity] = []
    faults: list[Fault] = []
    for number, (item, part) in enumerate(zip(read, parts, strict=True), start=1):
        wrong = fault_in(item, keys.item, f"item {number} of 'entities'")
        if wrong is not None:
            faults.append(Fault(BAD_ENTITY, wrong))
            continue
        boxes, wrong_boxes = _read_boxes(item[keys.boxes], frame)
        occurrence = item.get("occurrence", 1)
        entities.append(
            StatedEntity(
                item[keys.words],
                item[keys.label],
                occurrence if isinstance(occurrence, int) else 1,
                boxes,
                part,
                wrong_boxes,
            )
        )
    return Statement(tuple(entities), tuple(faults))


def _corners(boxes: WrittenBoxes | None) -> tuple[Corners, ...]:
    return tuple((first, second, third, fourth) for first, second, third, fourth in boxes or ())


def _read_boxes(
    items: Sequence[Any], frame: Frame
) -> tuple[WrittenBoxes | None, tuple[Fault, ...]]:
    """The good boxes of a list; ``None`` where there are boxes and none of them is good."""
    reading = read_box_list(items, frame)
    faults = tuple(Fault(BAD_BOX, fault) for fault in reading.faults)
    return (reading.boxes if reading.boxes or not faults else None), faults


def _parts(text: str, items: Sequence[Any], key: str) -> list[tuple[int, int]]:
    """Where each item stands: from its words to those of the next; ``(0, 0)``: nobody knows."""
    starts: list[int] = []
    position = 0
    for item in items:
        words = item.get(key) if isinstance(item, dict) else None
        written = {json.dumps(words, ensure_ascii=False), json.dumps(words)}
        places = [at for at in (text.find(one, position) for one in written) if at >= 0]
        starts.append(min(places, default=-1))
        position = starts[-1] + 1 if places else position
    ends = [*starts[1:], len(text)][: len(starts)]
    return [
        (start, end) if 0 <= start < end else (0, 0)
        for start, end in zip(starts, ends, strict=True)
    ]


FORMS: Mapping[str, AnswerForm] = MappingProxyType(
    {"triples": Triples(), "json": JsonEntities(), "entity-lists": EntityLists()}
)
"""By the word in the block ``answer`` of a prompt."""
