"""A file of answers beside their gold, as trainers log them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riveg.errors import UserError, suggest
from riveg.evaluation.foreign.json_objects import read_objects
from riveg.rewards.completions import text_of
from riveg.rewards.reading import Gold

ANSWER_COLUMNS = ("completion", "completions", "response", "output", "prediction", "answer")
"""Where an answer stands if nobody says: TRL's, ms-swift's and verl's names, and plain ones."""

GOLD_COLUMNS = ("ground_truth", "gold", "gts", "solution")
"""The same of gold."""

GROUP_COLUMNS = ("id", "prompt", "input")
"""What answers to one question have in common; the first that is there counts."""


@dataclass(frozen=True, slots=True)
class RewardRow:
    """An answer and its gold.

    Args:
        answer: The answer.
        gold: Its gold.
        where: Its place in the file, for messages.
        group: What it shares with other answers to its question.
    """

    answer: str
    gold: Gold
    where: str
    group: str | None = None


def read_rows(
    path: Path, *, answer: str | None = None, gold: str | None = None
) -> Iterator[RewardRow]:
    """The answers of a JSON or JSON lines file.

    An answer is a text or a list of messages; a list of these are several answers to one question.

    Args:
        path: The file.
        answer: The column of the answers; ``None``: one of :data:`ANSWER_COLUMNS`.
        gold: The column of the gold; ``None``: one of :data:`GOLD_COLUMNS`.

    Raises:
        UserError: If the file cannot be read, a row lacks a column, or several may be meant.
    """
    empty = True
    for item in read_objects(path):
        empty = False
        values, where = item.values, item.where
        told = values[_column(values, "--answer", answer, ANSWER_COLUMNS, where)]
        wanted = values[_column(values, "--gold", gold, GOLD_COLUMNS, where)]
        if not isinstance(wanted, str | Sequence | Mapping):
            raise UserError(f"{where}: expected gold as a text or a list, found {wanted!r:.60}")
        group = next((values[name] for name in GROUP_COLUMNS if name in values), None)
        name = None if group is None else json.dumps(group)
        several = _several(told)
        for one in [told] if several is None else several:
            yield RewardRow(_text(one, where), wanted, where, name if several is None else where)
    if empty:
        raise UserError(f"{path}: holds no answer")


def _column(
    values: Mapping[str, Any], option: str, chosen: str | None, usual: Sequence[str], where: str
) -> str:
    if chosen is not None:
        if chosen not in values:
            raise UserError(f"{where}: has no column {chosen!r}; {suggest(chosen, tuple(values))}")
        return chosen
    found = [name for name in usual if name in values]
    if len(found) != 1:
        what = f"has {' and '.join(found)}" if found else f"has none of {', '.join(usual)}"
        raise UserError(f"{where}: {what}; say which column it is with {option} COLUMN")
    return found[0]


def _several(told: object) -> Sequence[Any] | None:
    """The answers to one question; ``None`` for a single one."""
    if not isinstance(told, list) or not told:
        return None
    is_conversation = all(isinstance(one, Mapping) for one in told)
    return None if is_conversation else told


def _text(completion: Any, where: str) -> str:
    if not isinstance(completion, str | list):
        raise UserError(f"{where}: expected an answer, found {completion!r:.60}")
    try:
        return text_of(completion)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
