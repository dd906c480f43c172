"""RiVEG's text files: predictions with boxes in a second file, and the label file as gold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from riveg.datasets.dataset import quoted
from riveg.errors import UserError
from riveg.evaluation.cases import AnnotatedEntity, Detail, PredictedEntity
from riveg.evaluation.foreign.lines import counted
from riveg.evaluation.foreign.predictions import (
    ForeignFile,
    ForeignPredictions,
    waiting_for_places,
)
from riveg.formats.image_names import image_stem
from riveg.formats.lines import numbered_lines
from riveg.formats.riveg_rows import (
    FLAGS,
    SEPARATOR,
    EntityRow,
    RowBox,
    box_of_numbers,
    image_of,
    join_boxes,
    name_and_type,
    read_flagged_rows,
    read_row_boxes,
)
from riveg.types import Box, Region

LABEL_SHAPE = "<picture>.jpg###Name(TYPE)###<description>###<0 or 2>###&[x0, y0, x1, y1]"

_GOLD_BOXES = re.compile(r"(?:&\[[^&\[\]]*\])+")


def read_riveg(path: Path, boxes: Path | None = None) -> ForeignFile:
    """RiVEG's predictions: the entailment's text file and, if given, the grounding's boxes.

    Boxes (absolute pixels, xyxy) are joined by row id where both files have the same ids, else by
    order as in the released program. A groundable entity without a box has regions ``None``. An
    image without a line has no predicted entity. Where no entity is groundable, nothing is missing
    without boxes.

    Raises:
        UserError: If a line or a box is malformed, or the number of boxes does not fit.
    """
    rows = tuple(read_flagged_rows(path))
    predicted = [_predicted(row) for row in rows]
    notes: tuple[str, ...] = ()
    if boxes is not None:
        predicted, notes = _with_boxes(rows, predicted, boxes)
    found: dict[str, list[PredictedEntity]] = {}
    lines: dict[str, int] = {}
    for row, entity in zip(rows, predicted, strict=True):
        found.setdefault(row.image_id, []).append(entity)
        lines.setdefault(row.image_id, row.line)
    samples = tuple(
        ForeignPredictions(sample_id, tuple(own), lines[sample_id])
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
        name, label = name_and_type(fields[1], where)
        boxes = _gold_boxes(fields[-1], where) if FLAGS[fields[-2]] else ()
        entity = AnnotatedEntity(name, label, boxes=boxes)
        found.setdefault(image_stem(fields[0]), []).append(entity)
    return {sample_id: tuple(entities) for sample_id, entities in found.items()}


def _predicted(row: EntityRow) -> PredictedEntity:
    shown = bool(row.shown)
    regions = None if shown else ()
    return PredictedEntity(row.name, row.label, groundable=shown, regions=regions, entailed=shown)


def _gold_boxes(field: str, where: str) -> tuple[Box, ...]:
    if not _GOLD_BOXES.fullmatch(field):
        raise UserError(
            f"{where}: expected boxes as &[x0, y0, x1, y1]&[...], found {quoted(field)}"
        )
    return tuple(_gold_box(text, where) for text in field[2:-1].split("]&["))


def _gold_box(text: str, where: str) -> Box:
    try:
        box = box_of_numbers(text.split(","))
    except ValueError:
        box = None
    if box is None:
        raise UserError(f"{where}: [{text}] is no box [x0, y0, x1, y1] that encloses anything")
    return box


def _with_boxes(
    rows: Sequence[EntityRow], predicted: Sequence[PredictedEntity], boxes: Path
) -> tuple[list[PredictedEntity], tuple[str, ...]]:
    found = read_row_boxes(boxes)
    if any(item.bins for item in found):
        raise UserError(f"{boxes}: tells boxes in OFA's bins; expected pixels of the image")
    shown = [row for row in rows if row.shown]
    own, is_by_id = join_boxes(shown, found, boxes)
    notes = [] if is_by_id else [_order_note(shown, found)]
    empty = sum(item.box is None for item in own)
    if empty:
        noun = counted(empty, "box is null or encloses", "boxes are null or enclose")
        notes.append(f"{noun} nothing: such an answer is never right in EEG and GMNER")
    next_box = iter(own)
    placed = [_placed(one, next(next_box)) if one.groundable else one for one in predicted]
    return placed, tuple(notes)


def _placed(predicted: PredictedEntity, item: RowBox) -> PredictedEntity:
    return replace(predicted, regions=None if item.box is None else (Region(item.box),))


def _order_note(shown: Sequence[EntityRow], found: Sequence[RowBox]) -> str:
    pairs = zip(shown, found, strict=True)
    astray = sum(row.image_id != image_of(item.row_id) for row, item in pairs)
    return (
        "boxes are joined to lines by order, as the released program does: their ids are not the "
        f"lines' ids; {counted(astray, 'box names', 'boxes name')} another picture than its line"
    )
