"""A sample as plain values for the page's script, with positions in UTF-16 units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from riveg.evaluation.cases import AnnotatedEntity
from riveg.evaluation.verdicts import Verdict
from riveg.geometry.polygons import Ring, mask_to_polygons
from riveg.report.images import SIDE, heat_address, original_address
from riveg.report.judging import Judgement
from riveg.report.pairing import Item, items
from riveg.report.scripts import utf16_positions
from riveg.stages.words import change_text
from riveg.text.spans import character_range
from riveg.types import Box, Entity, Issue, Mask, Observation, Region, Sample, Span

Values = dict[str, Any]


def row(
    samples: Sequence[Sample | None],
    judgements: Sequence[Judgement],
    roots: Sequence[Path],
    page: Path,
) -> Values:
    """One sample with the answers of one run or of two.

    Args:
        samples: The runs' records of the sample, the first never ``None``.
        judgements: What became of the entities of each.
        roots: Image folders.
        page: The path of the page.
    """
    sample = samples[0]
    if sample is None:
        raise ValueError("the first run has every sample")
    image = sample.image
    known = image is not None and image.width is not None and image.height is not None
    places = _Places(sample)
    gold = next((each.gold for each in judgements if each.gold is not None), None)
    return {
        "id": sample.id,
        "text": sample.text,
        "path": image.path if image else None,
        "size": [image.width, image.height] if known and image else None,
        "original": original_address(image, roots, page),
        "gold": None if gold is None else [_gold_values(one, places) for one in gold],
        "answers": [None if one is None else _answer(one, places) for one in samples],
        "items": [_item_values(item) for item in items(samples, judgements)],
    }


class _Places:
    """Turns token spans into ranges of UTF-16 units."""

    def __init__(self, sample: Sample) -> None:
        self._offsets = sample.offsets
        self._positions = utf16_positions(sample.text)

    def of(self, span: Span | None) -> list[int] | None:
        place = None if span is None else character_range(self._offsets, span)
        return None if place is None else [self._positions[end] for end in place]


def _answer(sample: Sample, places: _Places) -> Values:
    entities = sample.entities
    return {
        "caption": sample.caption,
        "knowledge": sample.knowledge,
        "reasoning": sample.reasoning,
        "observations": [_observation_values(one) for one in sample.observations or ()],
        "issues": [_issue_values(one) for one in sample.issues],
        "entities": None if entities is None else [_entity_values(e, places) for e in entities],
    }


def _entity_values(entity: Entity, places: _Places) -> Values:
    entailment = entity.entailment
    regions = entity.regions
    return {
        "id": entity.id,
        "text": entity.text,
        "label": entity.label,
        "fine": entity.fine_label,
        "place": places.of(entity.span),
        "score": entity.score,
        "labelScores": dict(entity.label_scores) if entity.label_scores else None,
        "fineScores": dict(entity.fine_label_scores) if entity.fine_label_scores else None,
        "expression": entity.expression,
        "description": entity.description,
        "expressionSource": entity.expression_source,
        "entailment": entailment
        and {
            "probability": entailment.probability,
            "groundable": entailment.groundable,
            "source": entailment.source,
        },
        "regions": None if regions is None else [_region_values(one) for one in regions],
        "reviews": None if entity.reviews is None else list(_review_values(entity)),
    }


def _review_values(entity: Entity) -> Iterator[Values]:
    """The second looks; a change with the words for what was and what is."""
    for review in entity.reviews or ():
        yield {
            "kind": review.kind,
            "uncertainty": review.uncertainty,
            "outcome": review.outcome,
            "change": change_text(entity, review),
        }


def _region_values(region: Region) -> Values:
    return {
        "box": _edges(region.box),
        "score": region.score,
        "source": region.source,
        "mask": mask_path(region.mask) if region.mask else None,
        "maskSource": region.mask.source if region.mask else None,
        "guess": region.guess,
        "heat": heat_address(region.heat) if region.heat else None,
    }


def _gold_values(entity: AnnotatedEntity, places: _Places) -> Values:
    return {
        "text": entity.text,
        "label": entity.label,
        "fine": entity.fine_label,
        "place": places.of(entity.span),
        "boxes": None if entity.boxes is None else [_edges(box) for box in entity.boxes],
        "masks": None if entity.masks is None else [mask_path(mask) for mask in entity.masks],
    }


def _item_values(item: Item) -> Values:
    return {
        "gold": item.gold,
        "outcome": item.outcome,
        "answers": [verdict and _verdict_values(verdict) for verdict in item.verdicts],
    }


def _verdict_values(verdict: Verdict) -> Values:
    return {
        "entity": verdict.predicted,
        "verdict": verdict.kind or None,
        "stage": verdict.stage,
        "iou": None if verdict.iou is None else round(verdict.iou, 4),
    }


def _issue_values(issue: Issue) -> Values:
    return {
        "stage": issue.stage,
        "entity": issue.entity_id,
        "kind": issue.kind,
        "message": issue.message,
    }


def _observation_values(found: Observation) -> Values:
    return {
        "kind": " ".join(filter(None, (found.kind, found.label))),
        "box": _edges(found.box),
        "score": found.score,
        "text": found.text,
    }


def _edges(box: Box) -> list[float]:
    return [round(edge, 2) for edge in (box.x_min, box.y_min, box.x_max, box.y_max)]


def mask_path(mask: Mask) -> str | None:
    """The mask as an SVG path for the even-odd rule, in pixels of the image.

    Corners are whole numbers and every step is relative. Simplifying moves the outline by less than
    a pixel of the small copy. ``None`` where the run lengths are damaged or the mask is empty.
    """
    tolerance = max(0.75, 0.75 * max(mask.height, mask.width) / SIDE)
    try:
        polygons = mask_to_polygons(mask, tolerance)
    except ValueError:
        return None
    rings = [ring for polygon in polygons for ring in (polygon.exterior, *polygon.holes)]
    return "".join(map(_ring_path, rings)) or None


def _ring_path(ring: Ring) -> str:
    corners = [(round(x), round(y)) for x, y in ring]
    steps = [
        f"{x - before_x} {y - before_y}"
        for (before_x, before_y), (x, y) in pairwise(corners)
        if (x, y) != (before_x, before_y)
    ]
    start = f"M{corners[0][0]} {corners[0][1]}"
    return f"{start}l{' '.join(steps)}z" if steps else ""
