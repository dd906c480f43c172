"""The cases under ``cases/``: inputs, and what every protocol counts on them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from helpers.places import TESTS
from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity, Proposals
from riveg.evaluation.counts import Count
from riveg.types import Box, ImageSize, Region, Span

FOLDER = TESTS / "evaluation" / "cases"


@dataclass(frozen=True, slots=True)
class WorkedCase:
    """A case; ``expected`` by protocol: counts by metric, or the words of the error."""

    case: Case
    reason: str
    expected: dict[str, dict[str, Count] | str]


def worked_cases() -> list[WorkedCase]:
    return [
        _worked_case(values)
        for path in sorted(FOLDER.glob("*.json"))
        for values in json.loads(path.read_text(encoding="utf-8"))
    ]


def _worked_case(values: dict[str, Any]) -> WorkedCase:
    proposals = values.get("proposals")
    case = Case(
        values["id"],
        tuple(map(_predicted, values["predicted"])),
        tuple(map(_annotated, values["gold"])),
        size=ImageSize(*values["size"]) if "size" in values else None,
        proposals=None if proposals is None else _proposals(proposals),
    )
    expected = {
        name: counts if isinstance(counts, str) else {key: Count(*c) for key, c in counts.items()}
        for name, counts in values["expected"].items()
    }
    return WorkedCase(case, values["reason"], expected)


def _boxes(values: list[list[float]]) -> tuple[Box, ...]:
    return tuple(Box(*edges) for edges in values)


def _proposals(values: list[list[float] | None]) -> Proposals:
    return tuple(None if edges is None else Box(*edges) for edges in values)


def _span(values: dict[str, Any]) -> Span | None:
    return Span(*values["span"]) if values["span"] else None


def _predicted(values: dict[str, Any]) -> PredictedEntity:
    boxes = values["boxes"]
    regions = None if boxes is None else tuple(Region(box) for box in _boxes(boxes))
    groundable = values.get("groundable") if boxes is None else bool(boxes)
    return PredictedEntity(values["text"], values["label"], _span(values), groundable, regions)


def _annotated(values: dict[str, Any]) -> AnnotatedEntity:
    boxes = _boxes(values["boxes"])
    return AnnotatedEntity(values["text"], values["label"], _span(values), boxes=boxes)
