"""JSON lines, one for each entity: what the run says of it, and its sample."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from riveg.exports.guesses import must_mark
from riveg.exports.images import LeftOut
from riveg.exports.source import ExportReport, ExportSource
from riveg.files import write_atomically
from riveg.stages.words import change_text
from riveg.text.spans import character_range
from riveg.types import Box, Entity, Mask, Region, Sample

FILE = "entities.jsonl"


def export_jsonl(source: ExportSource, out: Path, /) -> ExportReport:
    """Writes ``entities.jsonl``; every line has the same keys.

    Args:
        source: The run.
        out: An empty folder.
    """
    counts, left_out = Counter({"posts": 0, "entities": 0}), LeftOut()
    write_atomically(out / FILE, _lines(source, counts, left_out))
    return ExportReport((out / FILE,), dict(counts), dict(left_out))


def _lines(source: ExportSource, counts: Counter[str], left_out: LeftOut) -> Iterator[bytes]:
    fine, reviewed = source.has_fine_labels(), source.is_reviewed
    for sample in source.records():
        if sample.entities is None:
            left_out["post not answered"] += 1
        elif not sample.entities:
            left_out["post without an entity"] += 1
        counts["posts"] += bool(sample.entities)
        for entity in sample.entities or ():
            counts["entities"] += 1
            row = _row(sample, entity, counts, fine=fine, reviewed=reviewed)
            yield json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _row(
    sample: Sample, entity: Entity, counts: Counter[str], *, fine: bool, reviewed: bool
) -> dict[str, Any]:
    entailment, image = entity.entailment, sample.image
    first, *others = entity.regions or (None,)
    return {
        "sample_id": sample.id,
        "entity_id": entity.id,
        "text": sample.text,
        "entity": entity.text,
        "label": entity.label,
        **({"fine_label": entity.fine_label} if fine else {}),
        "score": entity.score,
        **({"reviews": _reviews(entity)} if reviewed else {}),
        "span": [entity.span.start, entity.span.end],
        "characters": character_range(sample.offsets, entity.span),
        "expression": entity.expression,
        "description": entity.description,
        "groundable": None if entailment is None else entailment.groundable,
        "probability": None if entailment is None else entailment.probability,
        "grounded": None if entity.regions is None else bool(entity.regions),
        "image": None if image is None else image.path,
        "image_width": None if image is None else image.width,
        "image_height": None if image is None else image.height,
        **_place(first, counts),
        "more_regions": [_place(region, counts) for region in others],
    }


def _reviews(entity: Entity) -> list[dict[str, Any]] | None:
    """The second looks; a change in words, from what to what; ``None``: not reviewed."""
    if entity.reviews is None:
        return None
    return [
        {
            "kind": review.kind,
            "uncertainty": review.uncertainty,
            "outcome": review.outcome,
            "change": change_text(entity, review),
        }
        for review in entity.reviews
    ]


def _place(region: Region | None, counts: Counter[str]) -> dict[str, Any]:
    if region is None:
        return dict.fromkeys(("box", "box_score", "box_source", "guess", "mask", "mask_source"))
    return {
        "box": box_edges(region.box),
        "box_score": region.score,
        "box_source": region.source,
        "guess": must_mark(region, counts),
        "mask": None if region.mask is None else run_lengths(region.mask),
        "mask_source": None if region.mask is None else region.mask.source,
    }


def box_edges(box: Box) -> list[float]:
    """``[x_min, y_min, x_max, y_max]``."""
    return [box.x_min, box.y_min, box.x_max, box.y_max]


def run_lengths(mask: Mask) -> dict[str, Any]:
    """As ``pycocotools`` reads it."""
    return {"size": [mask.height, mask.width], "counts": mask.counts}
