"""The gold file of UnCo and SAKE: a JSON list of tweets, or a tweet a line; a row for each box."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from riveg.datasets.dataset import quoted
from riveg.datasets.frame_values import present, whole_number
from riveg.errors import UserError
from riveg.evaluation.cases import AnnotatedEntity
from riveg.evaluation.foreign.json_objects import read_objects
from riveg.evaluation.gold import GoldSample, GoldSet, gold_set
from riveg.files import open_regular
from riveg.formats.image_names import image_stem
from riveg.types import Box, Span

ENTITIES_KEY = "gt_entities"
ID_KEYS = ("img_id", "image_id")
MISC, OTHER = "MISC", "OTHER"
"""Its name for the fourth type, and the dataset's."""

_HEAD = 65536
_SUFFIXES = frozenset({".json", ".jsonl", ".ndjson"})


@dataclass(frozen=True, slots=True)
class _Row:
    """An entity with one of its boxes; ``box`` is ``None`` where it has none."""

    start: int
    end: int
    label: str
    text: str
    box: Box | None


def is_sysu_gold(path: Path) -> bool:
    """Whether a path is such a file and not a dataset of another kind."""
    if path.suffix.lower() not in _SUFFIXES or not path.is_file():
        return False
    with TextIOWrapper(open_regular(path), encoding="utf-8-sig", errors="replace") as handle:
        head = handle.read(_HEAD)
    return head.lstrip().startswith(("[", "{")) and f'"{ENTITIES_KEY}"' in head


def read_sysu_gold(path: Path, *, keep_misc: bool = False) -> GoldSet:
    """The gold of a file, the rows of one entity put together again.

    Args:
        path: Its file.
        keep_misc: Whether the type MISC keeps its name, as for predictions that use it; else it is
            OTHER, as in the dataset.

    Raises:
        UserError: If a tweet is none, has no id or the id of another, or a row is damaged.
    """
    samples: dict[str, GoldSample] = {}
    tweets = list(_tweets(path))
    last = 1 if _ends_are_inclusive(tweets) else 0
    renamed = {} if keep_misc else {MISC: OTHER}
    for where, tweet in tweets:
        sample_id = _sample_id(tweet, where)
        if sample_id in samples:
            raise UserError(f"{where}: the id {quoted(sample_id)} comes twice")
        rows = [_row(row, where, renamed, last) for row in tweet[ENTITIES_KEY]]
        tokens = tweet.get("tokens")
        number, text = None, None
        if isinstance(tokens, list):
            number, text = len(tokens), " ".join(map(str, tokens))
        samples[sample_id] = GoldSample(tuple(_entities(rows)), tokens=number, text=text)
    gold = gold_set(path.name, samples)
    if all(entity.label != OTHER for entity in gold.entities()):
        return gold
    return replace(gold, notes=(f"the gold's type {MISC} is read as {OTHER}",))


def _tweets(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each tweet with the words that errors begin with."""
    for item in read_objects(path):
        if not isinstance(item.values.get(ENTITIES_KEY), list):
            raise UserError(f"{item.where}: expected an object with a list {ENTITIES_KEY}")
        yield item.where, item.values


def _ends_are_inclusive(tweets: list[tuple[str, dict[str, Any]]]) -> bool:
    """Whether ``end`` is the last token of a phrase, by the phrases, and not the one behind it."""
    votes = {0: 0, 1: 0}
    for _, tweet in tweets:
        tokens = tweet.get("tokens")
        if not isinstance(tokens, list):
            continue
        for row in filter(_is_object, tweet[ENTITIES_KEY]):
            for last in votes:
                votes[last] += _words(tokens, row, last) == str(row.get("phrase")).split()
    return votes[1] > votes[0]


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _words(tokens: list[Any], row: Mapping[str, Any], last: int) -> list[str] | None:
    start, end = row.get("start"), row.get("end")
    if not isinstance(start, int) or not isinstance(end, int):
        return None
    return " ".join(map(str, tokens[start : end + last])).split()


def _sample_id(tweet: Mapping[str, Any], where: str) -> str:
    told = (whole_number(present(tweet.get(key))) for key in ID_KEYS)
    found = next((value for value in told if value is not None and value != ""), None)
    if not isinstance(found, (str, int)):
        raise UserError(f"{where}: expected its id under {' or '.join(ID_KEYS)}")
    return image_stem(str(found))


def _row(row: object, where: str, renamed: Mapping[str, str], last: int) -> _Row:
    if not isinstance(row, dict):
        raise UserError(f"{where}: expected an object for each entity, found {quoted(str(row))}")
    start, end, phrase = row.get("start"), row.get("end"), row.get("phrase")
    label = row.get("entity_type")
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end + last:
        raise UserError(
            f"{where}: expected start and end, numbers of tokens, in {quoted(str(row))}"
        )
    if not isinstance(phrase, str) or not isinstance(label, str):
        raise UserError(f"{where}: expected a phrase and an entity_type, in {quoted(str(row))}")
    return _Row(
        start, end + last, renamed.get(label, label), phrase, _box(row.get("region_box"), where)
    )


def _box(value: object, where: str) -> Box | None:
    if not present(value) or value == [0, 0, 0, 0]:
        return None
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        (value,) = value
    try:
        x_min, y_min, x_max, y_max = map(float, value)  # type: ignore[call-overload]
        return Box(x_min, y_min, x_max, y_max)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{where}: expected region_box as [x_min, y_min, x_max, y_max], found "
            f"{quoted(json.dumps(value))}"
        ) from error


def _entities(rows: list[_Row]) -> Iterator[AnnotatedEntity]:
    """The entities in the order of their first rows, each with all its boxes."""
    boxes: dict[tuple[int, int, str, str], list[Box]] = {}
    for row in rows:
        own = boxes.setdefault((row.start, row.end, row.label, row.text), [])
        if row.box is not None:
            own.append(row.box)
    for (start, end, label, text), found in boxes.items():
        yield AnnotatedEntity(text, label, Span(start, end), boxes=tuple(found))
