"""RiVEG's files about predicted entities: a row each, and what its OFA models answer to the rows.

RiVEG (arXiv 2402.09989) asks a visual-entailment model about every predicted entity and writes the
answer as a flag behind the row; the grounding model is asked about the rows that are shown.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riveg.errors import UserError
from riveg.formats.image_names import image_stem
from riveg.formats.json_files import read_json
from riveg.formats.lines import numbered_lines
from riveg.geometry.ofa_bins import read_bins
from riveg.types import Box

SEPARATOR = "###"
PREFIX = "Imageid:"
SHAPE = f"{PREFIX}<picture>.jpg#<4 hex>###Name(TYPE)###<description>###<0 or 2>"
FLAGS = {"0": False, "2": True}
"""Behind a row: whether the image shows the entity."""

NOT_SHOWN = "no"
"""The one answer of the entailment model that means "not shown"; ``maybe`` counts as shown."""

_ANSWERS = frozenset({"yes", "no", "maybe"})
_ROW_NUMBER = re.compile(r"#[0-9a-fA-F]{4}$")
_EXPRESSION = re.compile(r"(.+?)\(([^()\s]+)\)-", re.DOTALL)
_TABLE_COLUMNS = 6


@dataclass(frozen=True, slots=True)
class EntityRow:
    """One predicted entity.

    Args:
        row_id: ``<picture>.jpg#<4 hex>``; the hexadecimal digits are random.
        name: The entity's words.
        label: Its type.
        shown: The entailment's flag; ``None`` in a row that has none yet.
        line: Its line, from 1.
    """

    row_id: str
    name: str
    label: str
    shown: bool | None
    line: int

    @property
    def image_id(self) -> str:
        """The image's file name without its suffix."""
        return image_of(self.row_id)


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """Whether the entailment model says that the image shows the entity of a row."""

    row_id: str
    shown: bool


@dataclass(frozen=True, slots=True)
class RowBox:
    """The grounding model's box for a row.

    ``box``: in pixels of the image, ``None`` where there is none or it encloses nothing; ``bins``:
    where it is told in OFA's own numbers instead.
    """

    row_id: str
    box: Box | None
    bins: tuple[int, ...] | None = None


def image_of(row_id: str) -> str:
    """The id of a row's image.

    >>> image_of("17_06_4689.jpg#0af3")
    '17_06_4689'
    """
    return image_stem(_ROW_NUMBER.sub("", row_id))


def read_flagged_rows(path: Path) -> Iterator[EntityRow]:
    """The rows of a text file, each with the entailment's flag at its end.

    Raises:
        UserError: If a line is malformed.
    """
    for number, line in numbered_lines(path):
        where = f"{path}:{number}"
        fields = line.split(SEPARATOR)
        if len(fields) < 4 or not line.startswith(PREFIX) or fields[-1] not in FLAGS:
            raise UserError(f"{where}: expected {SHAPE}, found {_shown(line)}")
        name, label = name_and_type(fields[1], where)
        row_id = fields[0].removeprefix(PREFIX)
        yield EntityRow(row_id, name, label, FLAGS[fields[-1]], number)


def read_rows(path: Path) -> Iterator[EntityRow]:
    """Rows of any kind: text lines, flagged or not, or the table that the entailment model reads.

    In the table, columns 1 and 5 of six are the row's id and ``Name(TYPE)-<description>``.

    Raises:
        UserError: If a line is malformed.
    """
    for number, line in numbered_lines(path):
        where, columns = f"{path}:{number}", line.split("\t")
        if len(columns) == _TABLE_COLUMNS:
            found = _EXPRESSION.match(columns[4])
            if found is None:
                raise UserError(
                    f"{where}: expected Name(TYPE)-<description> in column 5, found "
                    f"{_shown(columns[4])}"
                )
            yield EntityRow(columns[0].removeprefix(PREFIX), found[1], found[2], None, number)
            continue
        fields = line.split(SEPARATOR)
        if len(fields) < 3 or not line.startswith(PREFIX):
            raise UserError(
                f"{where}: expected {SHAPE}, or the {_TABLE_COLUMNS} columns of the entailment's "
                f"table, found {_shown(line)}"
            )
        name, label = name_and_type(fields[1], where)
        shown = FLAGS.get(fields[-1]) if len(fields) > 3 else None
        yield EntityRow(fields[0].removeprefix(PREFIX), name, label, shown, number)


def read_row_answers(path: Path) -> list[RowAnswer]:
    """The entailment model's answers: a list of ``{"uniq_id": row, "answer": "yes"}``.

    Raises:
        UserError: If it is no such list.
    """
    return [_row_answer(value, where) for value, where in _items(path, "uniq_id and answer")]


def read_row_boxes(path: Path) -> list[RowBox]:
    """The grounding model's boxes: a list of ``{"uniq_id": row, "box": [x0, y0, x1, y1]}``.

    Boxes are in pixels of the image; a text of four bins, as OFA writes it, stands for a box too.

    Raises:
        UserError: If it is no such list.
    """
    return [_row_box(value, where) for value, where in _items(path, "uniq_id and box")]


def join_boxes(
    shown: Sequence[EntityRow], found: Sequence[RowBox], path: Path
) -> tuple[list[RowBox], bool]:
    """The box of each row that is shown, and whether they were joined by id.

    They are where both have the same ids, each once; else by order, as the released program does.

    Raises:
        UserError: If they are not as many.
    """
    if len(found) != len(shown):
        boxes = "1 box" if len(found) == 1 else f"{len(found)} boxes"
        raise UserError(
            f"{path}: holds {boxes} for the {len(shown)} groundable entities; give the boxes that "
            "were made from these rows"
        )
    by_id = {item.row_id: item for item in found}
    if len(by_id) == len(found) and by_id.keys() == {row.row_id for row in shown}:
        return [by_id[row.row_id] for row in shown], True
    return [*found], False


def name_and_type(field: str, where: str) -> tuple[str, str]:
    """The parts of ``Name(TYPE)``; a name may contain brackets, the type stands in the last pair.

    Raises:
        UserError: If it is none; begins with ``where``.
    """
    name, bracket, label = field.rpartition("(")
    if not bracket or not name or not label.endswith(")"):
        raise UserError(f"{where}: expected an entity as Name(TYPE), found {_shown(field)}")
    return name, label.removesuffix(")")


def box_of_numbers(values: Sequence[Any]) -> Box | None:
    """A box of four numbers; ``None`` where they enclose nothing.

    Raises:
        ValueError: If they are not four finite numbers.
    """
    try:
        numbers = [float(value) for value in values if not isinstance(value, bool)]
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError("expected four numbers") from error
    if len(numbers) != 4 or len(values) != 4 or not all(map(math.isfinite, numbers)):
        raise ValueError("expected four numbers")
    if numbers[0] >= numbers[2] or numbers[1] >= numbers[3]:
        return None
    return Box(*numbers)


def _items(path: Path, keys: str) -> Iterator[tuple[Any, str]]:
    try:
        values = read_json(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: is not JSON ({error})") from error
    if not isinstance(values, list):
        raise UserError(f"{path}: expected a list of objects with {keys}")
    for at, value in enumerate(values, start=1):
        yield value, f"{path}: entry {at}"


def _row_answer(value: Any, where: str) -> RowAnswer:
    row_id, answer = _of(value, "uniq_id"), _of(value, "answer")
    if not isinstance(row_id, str) or answer not in _ANSWERS:
        raise UserError(
            f'{where}: expected {{"uniq_id": text, "answer": "yes", "no" or "maybe"}}, found '
            f"{_shown(json.dumps(value))}"
        )
    return RowAnswer(row_id.removeprefix(PREFIX), answer != NOT_SHOWN)


def _row_box(value: Any, where: str) -> RowBox:
    row_id, box = _of(value, "uniq_id"), _of(value, "box")
    if isinstance(row_id, str) and "box" in value:
        own = row_id.removeprefix(PREFIX)
        if box is None or box != box:  # null, or NaN as data frames write it
            return RowBox(own, None)
        bins = read_bins(box) if isinstance(box, str) else None
        if bins is not None:
            return RowBox(own, None, bins)
        try:
            if isinstance(box, list):
                return RowBox(own, box_of_numbers(box))
        except ValueError:
            pass  # told below
    raise UserError(
        f'{where}: expected {{"uniq_id": text, "box": [x0, y0, x1, y1]}}, found '
        f"{_shown(json.dumps(value))}"
    )


def _of(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _shown(text: str, most: int = 60) -> str:
    return repr(text) if len(text) <= most else f"{text[:most]!r}..."
