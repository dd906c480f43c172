"""RiVEG's text files: predictions with boxes in a second file, and the label file as gold."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from riveg.datasets.dataset import quoted
from riveg.datasets.frame_values import present
from riveg.errors import UserError
from riveg.evaluation.cases import AnnotatedEntity, Detail, PredictedEntity
from riveg.evaluation.foreign.lines import counted, image_stem
from riveg.evaluation.foreign.predictions import (
    ForeignFile,
    ForeignPredictions,
    waiting_for_places,
)
from riveg.formats.json_files import read_json
from riveg.formats.lines import numbered_lines
from riveg.types import Box, Region

SEPARATOR = "###"
PREFIX = "Imageid:"
SHAPE = f"{PREFIX}<picture>.jpg#<4 hex>###Name(TYPE)###<description>###<0 or 2>"
LABEL_SHAPE = "<picture>.jpg###Name(TYPE)###<description>###<0 or 2>###&[x0, y0, x1, y1]"
FLAGS = {"0": False, "2": True}

_ROW_NUMBER = re.compile(r"#[0-9a-fA-F]{4}$")
_GOLD_BOXES = re.compile(r"(?:&\[[^&\[\]]*\])+")


@dataclass(frozen=True, slots=True)
class _Row:
    """One predicted entity with the ids of its row and of its image, and its line."""

    row_id: str
    sample_id: str
    predicted: PredictedEntity
    line: int


@dataclass(frozen=True, slots=True)
class _RowBox:
    """A box of the second file; ``None`` where there is none, or it encloses nothing."""

    row_id: str
    box: Box | None


def read_riveg(path: Path, boxes: Path | None = None) -> ForeignFile:
    """RiVEG's predictions: the entailment's text file and, if given, the grounding's boxes.

    Boxes (absolute pixels, xyxy) are joined by row id where both files have the same ids, else by
    order as in the released program. A groundable entity without a box has regions ``None``. An
    image without a line has no predicted entity. Where no entity is groundable, nothing is missing
    without boxes.

    Raises:
        UserError: If a line or a box is malformed, or the number of boxes does not fit.
    """
    rows = tuple(_rows(path))
    notes: tuple[str, ...] = ()
    if boxes is not None:
        rows, notes = _with_boxes(rows, path, boxes)
    found: dict[str, list[_Row]] = {}
    for row in rows:
        found.setdefault(row.sample_id, []).append(row)
    samples = tuple(
        ForeignPredictions(sample_id, tuple(row.predicted for row in own), own[0].line)
        for sample_id, own in found.items()
    )
    detail: Detail = "regions"
    if boxes is None and (waiting := waiting_for_places(samples)):
        detail = "groundability"
        noun = counted(waiting, "groundable entity has", "groundable entities have")
        notes = (f"no boxes are given: {noun} none and cannot be right in EEG and GMNER",)
    return ForeignFile("riveg", samples, detail, by_order=False, absent_is_empty=True, notes=notes)


def read_riveg_gold(path: Path) -> Mapping[str, tuple[AnnotatedEntity, ...]]:
    """The entities of RiVEG's label file by image id, in file order, without spans.

    Raises:
        UserError: If a line is malformed.
    """
    found: dict[str, list[AnnotatedEntity]] = {}
    for number, line in numbered_lines(path):
        where = f"{path}:{number}"
        fields = line.split(SEPARATOR)
        if len(fields) < 5 or fields[-2] not in FLAGS:
            raise UserError(f"{where}: expected {LABEL_SHAPE}, found {quoted(line)}")
        name, label = _name_and_type(fields[1], where)
        boxes = _gold_boxes(fields[-1], where) if FLAGS[fields[-2]] else ()
        entity = AnnotatedEntity(name, label, boxes=boxes)
        found.setdefault(image_stem(fields[0]), []).append(entity)
    return {sample_id: tuple(entities) for sample_id, entities in found.items()}


def _rows(path: Path) -> Iterator[_Row]:
    for number, line in numbered_lines(path):
        where = f"{path}:{number}"
        fields = line.split(SEPARATOR)
        if len(fields) < 4 or not line.startswith(PREFIX) or fields[-1] not in FLAGS:
            raise UserError(f"{where}: expected {SHAPE}, found {quoted(line)}")
        row_id = fields[0].removeprefix(PREFIX)
        name, label = _name_and_type(fields[1], where)
        shown = FLAGS[fields[-1]]
        predicted = PredictedEntity(
            name, label, groundable=shown, regions=None if shown else (), entailed=shown
        )
        yield _Row(row_id, _image(row_id), predicted, number)


def _image(row_id: str) -> str:
    return image_stem(_ROW_NUMBER.sub("", row_id))


def _name_and_type(field: str, where: str) -> tuple[str, str]:
    # A name may contain brackets: the type stands in the last pair.
    name, bracket, label = field.rpartition("(")
    if not bracket or not name or not label.endswith(")"):
        raise UserError(f"{where}: expected an entity as Name(TYPE), found {quoted(field)}")
    return name, label.removesuffix(")")


def _gold_boxes(field: str, where: str) -> tuple[Box, ...]:
    if not _GOLD_BOXES.fullmatch(field):
        raise UserError(
            f"{where}: expected boxes as &[x0, y0, x1, y1]&[...], found {quoted(field)}"
        )
    found = []
    for text in field[2:-1].split("]&["):
        box = _box(_numbers(text.split(",")))
        if box is None:
            raise UserError(f"{where}: [{text}] is no box [x0, y0, x1, y1] that encloses anything")
        found.append(box)
    return tuple(found)


def _numbers(values: Sequence[Any]) -> tuple[float, ...] | None:
    """Four finite numbers, or ``None``."""
    try:
        numbers = tuple(float(value) for value in values if not isinstance(value, bool))
    except (TypeError, ValueError, OverflowError):
        return None
    return (
        numbers if len(numbers) == len(values) == 4 and all(map(math.isfinite, numbers)) else None
    )


def _box(numbers: tuple[float, ...] | None) -> Box | None:
    if numbers is None or numbers[0] >= numbers[2] or numbers[1] >= numbers[3]:
        return None
    return Box(*numbers)


def _with_boxes(
    rows: Sequence[_Row], path: Path, boxes: Path
) -> tuple[tuple[_Row, ...], tuple[str, ...]]:
    found = _row_boxes(boxes)
    shown = [row for row in rows if row.predicted.groundable]
    if len(found) != len(shown):
        raise UserError(
            f"{boxes}: holds {counted(len(found), 'box', 'boxes')} for the {len(shown)} groundable "
            f"entities of {path}; give the boxes that were made from this file"
        )
    notes = []
    by_id = {item.row_id: item for item in found}
    if len(by_id) == len(found) and by_id.keys() == {row.row_id for row in shown}:
        own = [by_id[row.row_id] for row in shown]
    else:
        own = found
        notes.append(_order_note(shown, found))
    empty = sum(item.box is None for item in own)
    if empty:
        noun = counted(empty, "box is null or encloses", "boxes are null or enclose")
        notes.append(f"{noun} nothing: such an answer is never right in EEG and GMNER")
    next_box = iter(own)
    placed = (_placed(row, next(next_box)) if row.predicted.groundable else row for row in rows)
    return tuple(placed), tuple(notes)


def _placed(row: _Row, item: _RowBox) -> _Row:
    regions = None if item.box is None else (Region(item.box),)
    return replace(row, predicted=replace(row.predicted, regions=regions))


def _order_note(shown: Sequence[_Row], found: Sequence[_RowBox]) -> str:
    pairs = zip(shown, found, strict=True)
    astray = sum(row.sample_id != _image(item.row_id) for row, item in pairs)
    return (
        "boxes are joined to lines by order, as the released program does: their ids are not the "
        f"lines' ids; {counted(astray, 'box names', 'boxes name')} another picture than its line"
    )


def _row_boxes(path: Path) -> list[_RowBox]:
    try:
        values = read_json(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: is not JSON ({error})") from error
    if not isinstance(values, list):
        raise UserError(f"{path}: expected a list of objects with uniq_id and box")
    return [_row_box(value, f"{path}: entry {at}") for at, value in enumerate(values, start=1)]


def _row_box(value: Any, where: str) -> _RowBox:
    box = value.get("box") if isinstance(value, dict) else None
    row_id = value.get("uniq_id") if isinstance(value, dict) else None
    if isinstance(row_id, str) and "box" in value and present(box) is None:
        return _RowBox(row_id.removeprefix(PREFIX), None)
    numbers = _numbers(box) if isinstance(box, list) else None
    if numbers is None or not isinstance(row_id, str):
        raise UserError(
            f'{where}: expected {{"uniq_id": text, "box": [x0, y0, x1, y1]}}, found '
            f"{quoted(json.dumps(value))}"
        )
    return _RowBox(row_id.removeprefix(PREFIX), _box(numbers))
