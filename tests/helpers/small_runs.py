"""Run folders of a few samples that meet every trap of an export."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from riveg.exports.source import ExportSource
from riveg.files import file_digest
from riveg.formats.records import encode
from riveg.formats.run_records import DIGEST
from riveg.geometry.masks import mask_from_array
from riveg.text.tokenise import join_tokens
from riveg.types import (
    SCHEMA_VERSION,
    Box,
    Entailment,
    Entity,
    ImageRef,
    ImageSize,
    Mask,
    Region,
    Sample,
    Span,
)

SIDES = ImageSize(64, 48)
"""Width and height of every image here."""

IMAGES = ("a.jpg", "sub/b ü&?.png", "turned.jpg")


def write_run(folder: Path, samples: Iterable[Sample], last: bytes = b"") -> ExportSource:
    """A run folder with these records and a last line, and images below ``folder/pictures``."""
    images = folder / "pictures"
    for name in IMAGES:
        path = images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", SIDES, "navy")
        if name == "turned.jpg":
            exif = Image.Exif()
            exif[0x0112] = 6
            image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
        else:
            image.save(path)
    run = folder / "run"
    run.mkdir()
    lines = (encode(each) + b"\n" for each in samples)
    (run / "records.jsonl").write_bytes(b"".join((*lines, last)))
    manifest = {
        "schema": SCHEMA_VERSION,
        "finished": 1.0,
        DIGEST: file_digest(run / "records.jsonl"),
        "samples": 1,
        "system": "quick",
        "data": "posts",
        "split": "test",
        "image_roots": [str(images)],
    }
    (run / "manifest.json").write_text(json.dumps(manifest))
    return ExportSource.of_run(run)


def answered(text: str, *entities: Entity, id: str = "1", image: str | None = IMAGES[0]) -> Sample:
    """A tagged sample; its image's sides are known."""
    tokens = tuple(text.split(" "))
    joined, offsets = join_tokens(tokens)
    reference = ImageRef(image, *SIDES) if image is not None else None
    return Sample(id, joined, tokens, offsets, reference, entities=entities)


def named(
    text: str,
    start: int,
    *regions: Region,
    label: str = "PER",
    id: str = "e0",
    score: float | None = 0.75,
) -> Entity:
    """A grounded entity that begins with token ``start``."""
    span = Span(start, start + len(text.split(" ")))
    gate = Entailment(0.9, groundable=bool(regions))
    return Entity(
        id, text, label, span, score, expression=f"a {text}", entailment=gate, regions=regions
    )


def ring(left: int = 4, top: int = 6, side: int = 20) -> Mask:
    """A square with a hole in it and a part of its own at the image's last pixel."""
    array = np.zeros(SIDES[::-1], dtype=bool)
    array[top : top + side, left : left + side] = True
    array[top + 5 : top + 9, left + 5 : left + 9] = False
    array[-1, -1] = True
    return mask_from_array(array, "grabcut")


def region(left: float = 4, top: float = 6, side: float = 20, mask: Mask | None = None) -> Region:
    """A square region found by ``evidence:face``."""
    return Region(Box(left, top, left + side, top + side), 0.5, mask, "evidence:face")


def trap_samples() -> list[Sample]:
    """Samples with all that an export may stumble over."""
    return [
        answered(
            "Ann and Ann 👩‍🚀 in Łódź",
            named("Ann", 0, region(mask=ring()), region(30, 10, 8)),
            named("Ann", 2, region(mask=ring()), id="e1"),
            named("Łódź", 5, id="e2", label="LOC", score=None),
            id="ünï/ ../:1",
            image=IMAGES[1],
        ),
        answered("nothing here", id="2"),
        Sample("3", "not tagged", ("not", "tagged"), ((0, 3), (4, 10)), ImageRef(IMAGES[0])),
        answered('</script> & "Bob"', named('"Bob"', 2, region()), id="4", image=None),
        answered(
            "Ghost",
            Entity("e0", "Ghost", "SHIP & CO", Span(0, 1)),
            id="5",
            image="missing.jpg",
        ),
        answered("Climber", named("Climber", 0, region(-4, 40, 20)), id="6", image="../../etc/x"),
    ]


def boxes() -> st.SearchStrategy[Box]:
    """Boxes that lie in the image, on whole pixels."""
    width, height = SIDES
    return st.tuples(
        st.integers(0, width - 1),
        st.integers(0, height - 1),
        st.integers(1, 64),
        st.integers(1, 64),
    ).map(lambda b: Box(b[0], b[1], min(width, b[0] + b[2]), min(height, b[1] + b[3])))
