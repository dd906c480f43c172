"""Finished runs with gold, made on the fly for the report's tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from helpers.factories import make_sample, write_records
from riveg.evaluation.cases import AnnotatedEntity
from riveg.evaluation.gold import GoldSample, GoldSet, gold_set
from riveg.files import file_digest
from riveg.formats.run_records import DIGEST
from riveg.geometry.masks import mask_from_array
from riveg.runs.folder import RunFolder
from riveg.types import (
    SCHEMA_VERSION,
    Box,
    Entailment,
    Entity,
    ImageRef,
    Issue,
    Mask,
    Observation,
    Region,
    Sample,
    Span,
)

SIZE = (640, 400)
FACE = Box(96.5, 60, 288.25, 300)
ELSEWHERE = Box(400, 250, 600, 390)
GATE = 0.6
HOSTILE = "</script><img src=x onerror=alert(1)>\u2028<!--<script>"
LABELS = ("PER", "LOC", "ORG", "OTHER")


def make_run(
    folder: Path,
    samples: Sequence[Sample],
    *,
    images: Path,
    stages: Sequence[str] = ("tag", "entail", "ground", "segment"),
    **manifest: object,
) -> Path:
    """A run folder with these records, and with images where they have none yet."""
    images.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True)
    write_records(folder / "records.jsonl", samples)
    (folder / "config.yaml").write_text(f"entail:\n  backend: mini\n  threshold: {GATE}\n")
    run = RunFolder(folder)
    values = {
        "schema": SCHEMA_VERSION,
        "system": "made-up",
        "data": "posts",
        "data_version": "3",
        "split": "test",
        "image_roots": [str(images)],
        "samples": len(samples),
        "limit": None,
        "oracle_stages": [],
        "stages": {name: {"backend": "mini"} for name in stages},
        "finished": 1.0,
        DIGEST: file_digest(folder / "records.jsonl"),
        **manifest,
    }
    run.write_manifest(values)
    return folder


def draw_image(path: Path, shade: int = 90, size: tuple[int, int] = SIZE) -> None:
    """A plain image with a brighter face."""
    image = Image.new("RGB", size, (shade, 110, 130))
    image.paste((230, 200, 170), (96, 60, 288, 300))
    image.save(path, quality=80)


def disc(box: Box, size: tuple[int, int] = SIZE) -> Mask:
    """The ellipse inside a box, with a hole."""
    rows, columns = np.ogrid[: size[1], : size[0]]
    x, y = (box.x_min + box.x_max) / 2, (box.y_min + box.y_max) / 2
    away = ((columns - x) / (box.width / 2)) ** 2 + ((rows - y) / (box.height / 2)) ** 2
    return mask_from_array((away <= 1) & (away > 0.1), "grabcut")


def seen(box: Box = FACE, *, score: float = 0.8) -> dict[str, Any]:
    """Fields of an entity that the image shows at this place."""
    region = Region(box, score, disc(box), "evidence:face")
    return {"entailment": Entailment(0.9, True, "mini"), "regions": (region,)}


UNSEEN: Mapping[str, Any] = {"entailment": Entailment(0.25, False, "mini"), "regions": ()}


def with_entities(sample: Sample, *fields: Mapping[str, Any]) -> Sample:
    """The sample, its entities with these fields, and its image's size."""
    entities = tuple(
        replace(entity, **values)
        for entity, values in zip(sample.entities or (), fields, strict=True)
    )
    image = replace(sample.image, width=SIZE[0], height=SIZE[1]) if sample.image else None
    return replace(sample, entities=entities, image=image)


def annotated(text: str, label: str, span: tuple[int, int], *boxes: Box) -> AnnotatedEntity:
    """An annotated entity; without a box the image does not show it."""
    return AnnotatedEntity(text, label, Span(*span), boxes=boxes)


def story(images: Path) -> tuple[list[Sample], GoldSet]:
    """Samples of every kind that the page treats apart, with gold for all but the last."""
    images.mkdir(parents=True, exist_ok=True)
    pairs = _samples_with_gold()
    for number, (sample, _) in enumerate(pairs):
        if sample.image is not None and sample.id != "gone":
            draw_image(images / sample.image.path, 40 + number % 200)
    gold = {sample.id: GoldSample(entities) for sample, entities in pairs[:-1]}
    return [sample for sample, _ in pairs], gold_set("posts", gold, version="3", split="test")


def _samples_with_gold() -> list[tuple[Sample, tuple[AnnotatedEntity, ...]]]:
    who = {"score": 0.9, "label_scores": {"PER": 0.8, "ORG": 0.2}, "expression": "a woman smiling"}
    return [
        (
            with_entities(
                make_sample(
                    "🚀 Ada Lovelace visits Paris",
                    [(1, 3, "PER"), (4, 5, "LOC")],
                    id="right",
                    caption="a woman in front of a wall",
                    observations=(Observation("face", FACE, 0.7),),
                ),
                {**who, **seen()},
                {"score": 0.7, **UNSEEN},
            ),
            (annotated("Ada Lovelace", "PER", (1, 3), FACE), annotated("Paris", "LOC", (4, 5))),
        ),
        (
            with_entities(
                make_sample("Grace Hopper at Yale", [(0, 1, "PER"), (3, 4, "PER")], id="off"),
                {"score": 0.4, **seen(ELSEWHERE)},
                {"score": 0.3, **UNSEEN, "entailment": Entailment(0.58, False, "mini")},
            ),
            (annotated("Grace Hopper", "PER", (0, 2), FACE), annotated("Yale", "ORG", (3, 4))),
        ),
        (
            with_entities(
                make_sample("Turing in Berlin", [(0, 1, "PER"), (2, 3, "LOC")], id="places"),
                {"score": 0.8, **seen(ELSEWHERE)},
                {"score": 0.8, **seen(FACE)},
            ),
            (annotated("Turing", "PER", (0, 1), FACE), annotated("Berlin", "LOC", (2, 3))),
        ),
        (
            replace(
                make_sample("no words of anybody", id="silent", has_image=False),
                entities=None,
                issues=(Issue("tag", None, "bad-answer", "the tagger gave no answer"),),
            ),
            (annotated("anybody", "PER", (3, 4)),),
        ),
        (
            with_entities(
                make_sample("Kyiv by night", [(0, 1, "LOC")], id="gone"),
                {"regions": None, "entailment": Entailment(0.5, False)},
            ),
            (annotated("Kyiv", "LOC", (0, 1), FACE),),
        ),
        (hostile_sample(), (annotated("Eve", HOSTILE, (0, 1), FACE),)),
        *(
            (
                with_entities(
                    make_sample(f"filler {number} in Rome", [(3, 4, "LOC")], id=f"filler-{number}"),
                    {"score": 0.95, **UNSEEN},
                ),
                (annotated("Rome", "LOC", (3, 4)),),
            )
            for number in range(40)
        ),
        (
            with_entities(make_sample("Oslo", [(0, 1, "LOC")], id="without-gold"), dict(UNSEEN)),
            (),
        ),
    ]


def hostile_sample() -> Sample:
    """A sample every text of which would like to be markup."""
    text = f"Eve says {HOSTILE.replace(' ', '')}"
    tokens = tuple(text.split(" "))
    entity = Entity(
        f"e{HOSTILE}",
        "Eve",
        HOSTILE,
        Span(0, 1),
        label_scores={HOSTILE: 1.0},
        expression=HOSTILE,
        description=HOSTILE,
        expression_source=HOSTILE,
        entailment=Entailment(0.9, True, HOSTILE),
        regions=(Region(FACE, 0.5, None, HOSTILE),),
    )
    offsets = ((0, 3), (4, 8), (9, len(text)))
    return Sample(
        HOSTILE,
        text,
        tokens,
        offsets,
        ImageRef("a '\"><img src=x onerror=alert(1)>#?%41.jpg", *SIZE),
        caption=HOSTILE,
        knowledge=HOSTILE,
        observations=(Observation("text", ELSEWHERE, 0.5, HOSTILE),),
        entities=(entity,),
        issues=(Issue("ground", entity.id, HOSTILE, HOSTILE), Issue("tag", None, "x", HOSTILE)),
    )
