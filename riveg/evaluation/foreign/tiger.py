"""TIGER's outputs: its sentences, a line a tweet, or the dump of what it read in them."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from riveg.datasets.dataset import quoted
from riveg.errors import UserError
from riveg.evaluation.cases import Detail, PredictedEntity
from riveg.evaluation.foreign.lines import counted
from riveg.evaluation.foreign.predictions import (
    ForeignFile,
    ForeignPredictions,
    waiting_for_places,
)
from riveg.formats.lines import numbered_lines
from riveg.formats.tiger_text import read_sentence, sentences

_DUMPED = re.compile(r"\s*(?:(\w+)\s+)?Pred\s*:\s*(\{.*)")
_TENSOR = re.compile(r"tensor\(([^()]*)\)")
_KEY = re.compile(r"(.+) (\S+) (True|False)", re.DOTALL)
_FINE = "fine"
_BY_ORDER = "its lines have no ids: they are matched to the samples by order"


def read_tiger(path: Path) -> ForeignFile:
    """Entities with their fine type, from its sentences or from a dump.

    The sentences say whether the image shows an entity, but not where; a dump tells the index of
    its place among the detector's boxes too. Where the image shows none, nothing is missing. A
    sentence that cannot be read gives no entity, and is counted; an empty line is a sample without
    an entity.

    Raises:
        UserError: If the file cannot be read, or a line of a dump cannot.
    """
    if any(is_dumped(line) for _, line in numbered_lines(path)):
        return _read_dump(path)
    samples = []
    unreadable = []
    for number, line in numbered_lines(path):
        read = [parse_sentence(sentence) for sentence in sentences(line)]
        found = tuple(predicted for predicted in read if predicted is not None)
        unreadable += [number] * (len(read) - len(found))
        samples.append(ForeignPredictions(None, found, number))
    notes = [_BY_ORDER]
    if unreadable:
        noun = counted(
            len(unreadable),
            "sentence cannot be read and gives",
            "sentences cannot be read and give",
        )
        notes.append(f"{noun} no entity (first: {path}:{unreadable[0]})")
    detail: Detail = "groundability" if waiting_for_places(samples) else "regions"
    return ForeignFile("tiger", tuple(samples), detail, by_order=True, notes=tuple(notes))


def parse_sentence(sentence: str) -> PredictedEntity | None:
    """An entity; ``None`` where the sentence cannot be read.

    >>> parse_sentence("Rome is a location and a city, which is not in the image").label
    'city'
    """
    said = read_sentence(sentence)
    return None if said is None else _predicted(said.words, said.label, None, shown=said.shown)


def is_dumped(line: str) -> bool:
    """Whether a line is one of a dump.

    >>> is_dumped("fine   Pred: {'Rome city True': 3}")
    True
    """
    return _DUMPED.match(line) is not None


def _read_dump(path: Path) -> ForeignFile:
    """The entities of ``Pred: {"<words> <fine> <True or False>": region}``, a line a tweet."""
    rows = [
        (number, match[1], match[2])
        for number, line in numbered_lines(path)
        if (match := _DUMPED.match(line))
    ]
    # Where the coarse types are dumped beside the fine ones, they say the same tweets again.
    kinds = {kind for _, kind, _ in rows}
    wanted = {_FINE} if _FINE in kinds else kinds
    unreadable: Counter[str] = Counter()
    samples = tuple(
        ForeignPredictions(None, tuple(_dumped(values, f"{path}:{number}", unreadable)), number)
        for number, kind, values in rows
        if kind in wanted
    )
    notes = [_BY_ORDER]
    if unreadable:
        noun = counted(unreadable.total(), "answer gives", "answers give")
        notes.append(f"{noun} no entity (first: {quoted(next(iter(unreadable)))})")
    waiting = waiting_for_places(samples) > 0
    return ForeignFile(
        "tiger",
        samples,
        "groundability" if waiting else "regions",
        by_order=True,
        by_candidate=waiting,
        notes=tuple(notes),
    )


def _dumped(text: str, where: str, unreadable: Counter[str]) -> Iterator[PredictedEntity]:
    for key, region in _values(text, where).items():
        match = _KEY.fullmatch(str(key).strip())
        if match is not None:
            shown = match[3] == str(True)
            yield _predicted(match[1], match[2], _candidate(region, where), shown=shown)
        elif str(key).strip():  # A blank key stands for an answer without an entity.
            unreadable[str(key)] += 1


def _values(text: str, where: str) -> dict[object, object]:
    """The dictionary at the begin of a text; what follows it is not read."""
    literal = _TENSOR.sub(r"\1", text)
    ends = [place for place, character in enumerate(literal, start=1) if character == "}"]
    for end in ends:
        try:
            values = ast.literal_eval(literal[:end])
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(values, dict):
            return values
    raise UserError(f"{where}: expected a dictionary behind Pred:, found {quoted(text)}")


def _candidate(region: object, where: str) -> int | None:
    """The index of a candidate, bare or as the only one of a list."""
    if isinstance(region, (list, tuple)):
        region = region[0] if region else None
    if region is None or (isinstance(region, int) and not isinstance(region, bool)):
        return region
    raise UserError(f"{where}: expected the index of a region, found {quoted(str(region))}")


def _predicted(words: str, label: str, candidate: int | None, *, shown: bool) -> PredictedEntity:
    return PredictedEntity(
        words,
        label,
        groundable=shown,
        regions=None if shown else (),
        candidate=candidate if shown else None,
    )
