"""What holds of every command, whatever it is given."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from fuzz.child import Outcome

from riveg.types import Gold, GoldEntity

_LONGEST_S = 15.0
"""Of the processor, for a command over three posts: what takes more grows with the damage."""

_MOST_GROWN = 1 << 30
"""Bytes that the memory of the process may grow by."""

_LONGEST_LINE = 2000

_WARNING = re.compile(r"\.py:\d+: \w*Warning")

_CONTROLS = {"Cc", "Zl", "Zp", "Cs"}
"""Categories of characters that move the cursor or end a line."""

_TURNS = {*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}
"""They turn the direction of what follows on a terminal."""


def require_orderly(outcome: Outcome, *, is_configuration: bool) -> None:
    """Asserts that a command came to an orderly end: an answer, or an error of one line."""
    printed = outcome.stdout + outcome.stderr
    assert not outcome.fault, f"{outcome.fault}\n{outcome.trace}"
    assert not outcome.trace, outcome.trace
    assert "Traceback (most recent call last)" not in printed, printed[-3000:]
    assert not _WARNING.search(printed), printed[-3000:]
    assert not outcome.outside, outcome.outside
    assert outcome.seconds < _LONGEST_S, f"took {outcome.seconds:.1f} s"
    assert outcome.grown < _MOST_GROWN, f"grew by {outcome.grown >> 20} MB"
    raw = {one for one in printed if is_control(one)}
    assert not raw, f"control characters on the terminal: {raw!r}\n{printed[-3000:]!a}"
    assert outcome.code in {0, 1, 2}, outcome
    if outcome.code == 2:
        lines = [line for line in outcome.stderr.splitlines() if line.strip()]
        told = [line for line in lines if line.startswith("riveg: ")]
        if not is_configuration:
            # Notes and the counts of a run come before it.
            assert told, f"no line of riveg's own: {printed!r:.3000}"
            assert lines[-1] == told[-1], f"an error of several lines: {lines}"
        longest = max(map(len, lines), default=0)
        assert longest < _LONGEST_LINE, f"a line of {longest} characters: {lines!r:.3000}"
        assert "out of memory" not in printed, printed


def is_control(character: str) -> bool:
    """Whether a character does more on a terminal than to stand there."""
    return character != "\n" and (
        unicodedata.category(character) in _CONTROLS or character in _TURNS
    )


def require_score(document: Mapping[str, Any], path: Path, gold: Mapping[str, Gold]) -> None:
    """Asserts that a score is that of the predictions, counted anew from their files alone."""
    reader = _READERS.get(document["format"])
    found = None if reader is None else reader(path)
    if found is None:
        return
    expected = _counted(found, gold, partial=bool(document["partial"]))
    for metric, counts in expected.items():
        score = document["scores"]["canonical"].get(metric)
        if score is not None:
            told = tuple(score[key] for key in ("hits", "predicted", "gold"))
            assert told == counts, f"{metric}: {told}, by the predictions {counts}"


def require_gold(document: Mapping[str, Any], records: Path, tags: Path) -> None:
    """Asserts that MNER is that of a run's records and of gold tags, both counted anew."""
    gold, found = _of_conll(tags), _of_records(records)
    score = document["scores"]["canonical"]["mner"]
    if gold is None or score is None:
        return
    hits = sum(
        any((one.start, one.end, one.label) == (own.start, own.end, own.label) for one in said)
        for key, entities in gold.items()
        for own in entities
        if (said := found.get(key, []))
    )
    predicted = sum(len(found.get(key, ())) for key in gold)
    counts = (hits, predicted, sum(map(len, gold.values())))
    told = tuple(score[key] for key in ("hits", "predicted", "gold"))
    assert told == counts, f"{told}, by the tags {counts}"


@dataclass(frozen=True, slots=True)
class Found:
    """A predicted entity; ``boxes``: ``None`` where nobody looked."""

    start: int
    end: int
    label: str
    boxes: tuple[tuple[float, ...], ...] | None = None


_EDGES = ("x_min", "y_min", "x_max", "y_max")


def _of_records(path: Path) -> Mapping[str, list[Found]]:
    lines = path.read_bytes().splitlines()
    return _of_documents(json.loads(line) for line in lines if line.strip())


def _of_run(folder: Path) -> Mapping[str, list[Found]]:
    return _of_records(folder / "records.jsonl")


def _of_smner(folder: Path) -> Mapping[str, list[Found]]:
    index = json.loads((folder / "index.json").read_bytes())
    files = [*(folder / "samples").iterdir()]
    named = {int(path.name[:5]): path for path in files}
    return _of_documents(json.loads(named[at].read_bytes()) for at in range(len(index["files"])))


def _of_documents(documents: Iterable[Mapping[str, Any]]) -> Mapping[str, list[Found]]:
    return {one["id"]: [*map(_found, one.get("entities") or ())] for one in documents}


def _found(entity: Mapping[str, Any]) -> Found:
    span, regions = entity["span"], entity.get("regions")
    start, end = span if isinstance(span, list) else (span["start"], span["end"])
    boxes = None
    if regions is not None:
        corners = [one["box"] for one in regions]
        boxes = tuple(
            tuple(map(float, box if isinstance(box, list) else (box[key] for key in _EDGES)))
            for box in corners
        )
    return Found(start, end, entity["label"], boxes)


_TAG = re.compile(r"O|[BI]-\S+")
_TOKEN = re.compile(r"(?!<EOS>|IMGID:|-DOC)[!-~]+")


def _of_conll(path: Path) -> Mapping[str, list[Found]] | None:
    """``None`` where a line is not plain: a token and its tag, each inside an entity of its own."""
    found: dict[str, list[Found]] = {}
    try:
        text = path.read_bytes().decode("ascii")
    except UnicodeDecodeError:
        return None
    for block in re.split(r"\n\n+", text.strip("\n")):
        first, *lines = block.split("\n")
        rows = [line.split("\t") for line in lines]
        tags = [row[-1] for row in rows]
        is_plain = first.startswith("IMGID:") and all(
            len(row) == 2 and _TOKEN.fullmatch(row[0]) and _TAG.fullmatch(row[1]) for row in rows
        )
        if not is_plain or any(
            tag[0] == "I" and before[2:] != tag[2:] for before, tag in pairwise(["O", *tags])
        ):
            return None
        starts = [place for place, tag in enumerate(tags) if tag[0] == "B"]
        entities = []
        for start in starts:
            end = start + 1
            while end < len(tags) and tags[end][0] == "I":
                end += 1
            entities.append(Found(start, end, tags[start][2:]))
        found[first.removeprefix("IMGID:")] = entities
    return found if len(found) == text.count("IMGID:") else None


_READERS: Mapping[str, Callable[[Path], Mapping[str, list[Found]] | None]] = {
    "run": _of_run,
    "jsonl": _of_records,
    "smner": _of_smner,
    "conll": _of_conll,
}


def _counted(
    found: Mapping[str, list[Found]], gold: Mapping[str, Gold], *, partial: bool
) -> Mapping[str, tuple[int, int, int]]:
    """Hits, predicted and gold entities of MNER and GMNER; gold spans of a post differ."""
    scored = {key: one.entities for key, one in gold.items() if key in found or not partial}
    predicted = sum(len(found.get(key, ())) for key in scored)
    hits = {"mner": 0, "gmner": 0}
    for key, entities in scored.items():
        for entity in entities:
            agree = [one for one in found.get(key, ()) if _is_tagged(one, entity)]
            hits["mner"] += bool(agree)
            hits["gmner"] += any(_is_placed(one, entity) for one in agree)
    wanted = sum(map(len, scored.values()))
    return {metric: (number, predicted, wanted) for metric, number in hits.items()}


def _is_tagged(found: Found, gold: GoldEntity) -> bool:
    span = (gold.span.start, gold.span.end)
    return (found.start, found.end) == span and found.label == gold.label


def _is_placed(found: Found, gold: GoldEntity) -> bool:
    if not found.boxes or not gold.boxes:
        return found.boxes is not None and not found.boxes and not gold.boxes
    best = found.boxes[0]
    return any(
        _iou(best, (one.x_min, one.y_min, one.x_max, one.y_max)) >= 0.5 for one in gold.boxes
    )


def _iou(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = sum((edges[2] - edges[0]) * (edges[3] - edges[1]) for edges in (one, other))
    return shared / (areas - shared)
