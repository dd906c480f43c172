"""E2E-GMNER's predictions: JSON lines with the answer's text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from riveg.datasets.dataset import quoted
from riveg.datasets.frame_values import present, whole_number
from riveg.errors import UserError
from riveg.evaluation.cases import PredictedEntity
from riveg.evaluation.foreign.json_objects import PlacedObject, read_objects
from riveg.evaluation.foreign.predictions import ForeignFile, ForeignPredictions
from riveg.evaluation.protocols.e2e import original_shares
from riveg.formats.e2e_answer import Corners, Triple, answer_text, parse_answer
from riveg.formats.image_names import image_stem
from riveg.types import Box, ImageSize, Region

ANSWER_KEYS = (
    "prediction",
    "pred",
    "prediction_text",
    "pred_text",
    "output",
    "response",
    "generated",
    "generated_text",
    "answer",
)
"""Keys that may hold the answer: the schema of these files is not published."""

SCALED_KEY, ORIGINAL_KEY, SIZE_KEY = "response_answer_scaled", "response_answer_orig", "orig_size"
"""Keys of its evaluator's own file: the answer in pixels of the resized image, the same in pixels
of the original one (rounded, and blank where one region cannot be read), and that one's size."""

ID_KEYS = ("image_id", "img_id", "image", "image_path", "id")
"""Keys that may hold the id of the sample; the first of them that is there counts."""

_DROPPED = "pieces of answers without mention, type and region"
DEGENERATE = "boxes that enclose nothing"

AnswerReader = Callable[[Any, Counter[str]], tuple[PredictedEntity, ...]]
"""Reads the answer of one sample, and counts what it leaves out."""


def read_e2e(path: Path) -> ForeignFile:
    """One sample per line, or per object of an array, with boxes in pixels of the original image.

    Only in its evaluator's own file they are pixels of the resized image, which ``orig_size`` turns
    into original ones. Samples are matched by order, unless every line has an id or an image. A
    line whose answer is null, or NaN, is a sample that the system did not answer.

    Raises:
        UserError: If a line is no object with one answer, or only some lines have an id.
    """
    return read_answers(path, "e2e")


def read_answers(
    path: Path, format: str, read: AnswerReader | None = None, *, notes: tuple[str, ...] = ()
) -> ForeignFile:
    """Samples by the ids, keys and order of :func:`read_e2e`.

    Args:
        path: The file.
        format: Its name.
        read: Reads an answer; ``None``: E2E-GMNER's text.
        notes: What a reader of the scores should know of the format.

    Raises:
        UserError: As of :func:`read_e2e`.
    """
    lost: Counter[str] = Counter()
    samples: list[ForeignPredictions] = []
    places: dict[str, int] = {}
    for item in read_objects(path):
        sample = _sample(item, lost, read)
        _require_like_first(sample, samples, places, item.where)
        samples.append(sample)
    by_order = any(sample.sample_id is None for sample in samples)
    told = [f"left out: {what} ({count})" for what, count in lost.items() if count]
    if by_order:
        told.append("its lines have no ids: they are matched to the samples by order")
    return ForeignFile(format, tuple(samples), "regions", by_order, notes=(*told, *notes))


def answer_keys(values: dict[str, Any]) -> list[str]:
    """The keys of an object that may hold an answer."""
    own = [key for key in (SCALED_KEY, ORIGINAL_KEY) if key in values]
    return own[:1] or [key for key in ANSWER_KEYS if key in values]


def _sample(
    item: PlacedObject, lost: Counter[str], read: AnswerReader | None
) -> ForeignPredictions:
    values, where = item.values, item.where
    if len(values) > 1 and all(isinstance(value, (dict, list)) for value in values.values()):
        raise UserError(
            f"{where}: its keys are columns; expected one object a sample, as "
            "to_json(orient='records', lines=True) writes them"
        )
    sample_id, (key, text) = _sample_id(values, where), _answer(values, where)
    if text is None:
        return ForeignPredictions(sample_id, (), item.number, answered=False)
    if read is not None:
        if not isinstance(text, str | list):
            raise UserError(f"{where}: {key} must be a list of entities, found {_shown(text)}")
        return ForeignPredictions(sample_id, read(text, lost), item.number)
    if not isinstance(text, str):
        raise UserError(f"{where}: {key} must be a text, found {_shown(text)}")
    answer = parse_answer(answer_text(text))
    size = _size(values, where)
    shares = original_shares(size) if size is not None and SCALED_KEY in values else (1.0, 1.0)
    predicted = tuple(_predicted(triple, shares, lost) for triple in answer.triples)
    if answer.dropped:
        lost[_DROPPED] += answer.dropped
    return ForeignPredictions(sample_id, predicted, item.number, size=size)


def _size(values: dict[str, Any], where: str) -> ImageSize | None:
    """The size of the original image; ``None`` where the line does not tell it.

    Raises:
        UserError: If it is no size, or is missing where the boxes need it.
    """
    told = values.get(SIZE_KEY)
    if told is None and SCALED_KEY not in values:
        return None
    sides = [told.get("width"), told.get("height")] if isinstance(told, dict) else told
    if (
        not isinstance(sides, list)
        or len(sides) != 2
        or not all(isinstance(side, int) and side > 0 for side in sides)
    ):
        raise UserError(
            f"{where}: expected {SIZE_KEY} of the image as [width, height], found "
            f"{quoted(json.dumps(told))}"
        )
    return ImageSize(*sides)


def _answer(values: dict[str, Any], where: str) -> tuple[str, Any]:
    """Key and answer; ``None`` where there is none (null, or NaN as data frames write it)."""
    keys = answer_keys(values)
    filled = [key for key in keys if present(values[key]) is not None]
    if not keys or len(filled) > 1:
        found = ", ".join(filled) or f"none (its keys are {quoted(', '.join(values))})"
        raise UserError(
            f"{where}: the answer must stand under exactly one of {', '.join(ANSWER_KEYS)}; "
            f"found {found}"
        )
    return (filled[0], values[filled[0]]) if filled else (keys[0], None)


def _shown(value: Any) -> str:
    return quoted(json.dumps(value))


def _sample_id(values: dict[str, Any], where: str) -> str | None:
    key = next((key for key in ID_KEYS if present(values.get(key)) is not None), None)
    if key is None:
        return None
    value = whole_number(values[key])
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
        raise UserError(f"{where}: {key} must be an id, found {quoted(json.dumps(values[key]))}")
    text = str(value).strip()
    return text if key == "id" else image_stem(text)


def _require_like_first(
    sample: ForeignPredictions, before: list[ForeignPredictions], places: dict[str, int], where: str
) -> None:
    if before and (sample.sample_id is None) != (before[0].sample_id is None):
        raise UserError(f"{where}: either every line tells an id ({', '.join(ID_KEYS)}) or none")
    if sample.sample_id is None:
        return
    first = places.setdefault(sample.sample_id, sample.line)
    if first != sample.line:
        raise UserError(f"{where}: the id {quoted(sample.sample_id)} stands in line {first} too")


def _predicted(triple: Triple, shares: tuple[float, float], lost: Counter[str]) -> PredictedEntity:
    if triple.boxes == ():
        return PredictedEntity(triple.mention, triple.label, groundable=False, regions=())
    boxes = [_box(corners, shares) for corners in triple.boxes or ()]
    regions = tuple(Region(box) for box in boxes if box is not None)
    if len(regions) < len(boxes):
        lost[DEGENERATE] += len(boxes) - len(regions)
    # A region that cannot be read says that the image shows the entity, but not where.
    return PredictedEntity(triple.mention, triple.label, groundable=True, regions=regions or None)


def _box(corners: Corners, shares: tuple[float, float]) -> Box | None:
    x_min, y_min, x_max, y_max = corners
    if x_min >= x_max or y_min >= y_max:
        return None
    across, down = shares
    return Box(x_min * across, y_min * down, x_max * across, y_max * down)
