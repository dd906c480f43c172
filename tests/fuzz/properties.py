"""What holds of every command, whatever it is given."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
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


def require_score(document: Mapping[str, Any], records: bytes, gold: Mapping[str, Gold]) -> None:
    """Asserts that a score is that of the records, counted anew from their lines alone."""
    expected = _counted(records, gold, partial=bool(document["partial"]))
    for metric, counts in expected.items():
        score = document["scores"]["canonical"].get(metric)
        if score is not None:
            found = tuple(score[key] for key in ("hits", "predicted", "gold"))
            assert found == counts, f"{metric}: {found}, by the records {counts}"


def _counted(
    records: bytes, gold: Mapping[str, Gold], *, partial: bool
) -> Mapping[str, tuple[int, int, int]]:
    """Hits, predicted and gold entities of MNER and GMNER; gold spans of a post differ."""
    lines = [json.loads(line) for line in records.splitlines() if line.strip()]
    found = {one["id"]: one.get("entities") or [] for one in lines}
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


def _is_tagged(found: Mapping[str, Any], gold: GoldEntity) -> bool:
    span = (found["span"]["start"], found["span"]["end"])
    return bool(span == (gold.span.start, gold.span.end) and found["label"] == gold.label)


def _is_placed(found: Mapping[str, Any], gold: GoldEntity) -> bool:
    regions = found.get("regions")
    if not regions or not gold.boxes:
        return regions is not None and not regions and not gold.boxes
    box = regions[0]["box"]
    edges = tuple(float(box[key]) for key in ("x_min", "y_min", "x_max", "y_max"))
    return any(
        _iou(edges, (one.x_min, one.y_min, one.x_max, one.y_max)) >= 0.5 for one in gold.boxes
    )


def _iou(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = sum((edges[2] - edges[0]) * (edges[3] - edges[1]) for edges in (one, other))
    return shared / (areas - shared)


def files_below(folder: Path) -> Mapping[str, bytes]:
    """What the files below a folder hold, by their path in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
