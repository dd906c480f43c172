"""Samples with small images, made when a test needs many: faces, OCR text, and nothing at all."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from helpers.places import ROOT

ASTRONAUT = ROOT / "data" / "quickstart" / "images" / "qs01-astronaut.jpg"

Sample = Mapping[str, Any]

SYSTEM = """\
name: small-parts
description: the quickstart backends, in parts small enough to be interrupted between two of them
tag: {backend: mini}
rewrite: {backend: template, prompt: rewrite/template.v1}
observe: {backend: evidence}
entail: {backend: mini}
ground: {backend: evidence}
segment: {backend: grabcut}
run: {part_size: 8, batch_size: 4}
"""

STAGE_FOLDERS = (
    "0-input",
    "1-tag",
    "2-rewrite",
    "3-observe",
    "4-entail",
    "5-ground",
    "6-segment",
)


PLACES: dict[str, list[tuple[str, int, int, list[float] | None]]] = {
    "Eileen": [("PER", 0, 2, [10.0, 5.0, 150.0, 120.0]), ("ORG", 7, 8, None)],
    "Grace": [("PER", 0, 2, None), ("OTHER", 4, 5, [10.0, 30.0, 150.0, 70.0])],
    "Rain": [("LOC", 3, 4, None)],
    "SpaceX": [("ORG", 0, 1, None), ("LOC", 4, 6, None)],
    "good": [],
}
"""Gold of the samples that are made, by their first word."""


def write_system(path: Path) -> Path:
    """The quickstart backends with a part size of 8."""
    path.write_text(SYSTEM)
    return path


def make_samples(folder: Path, count: int) -> list[Sample]:
    """In turn about a face, OCR text, nothing, no image, a place; images in ``folder``."""
    return [_sample(folder, number) for number in range(count)]


def make_tiny_samples(folder: Path, count: int) -> list[Sample]:
    """Samples with one place each and images of 32x24: as little work as a sample can be."""
    for number in range(count):
        blur(32, 24).save(folder / f"{number:04d}.png")
    return [
        {
            "id": f"p{number:04d}",
            "text": f"Rain in Paris, day {number}",
            "image": f"{number:04d}.png",
        }
        for number in range(count)
    ]


def make_dev(folder: Path, count: int) -> Path:
    """Samples with images and gold in ``dev.jsonl``."""
    rows = []
    for sample in make_samples(folder, count):
        places = PLACES[sample["text"].split()[0]]
        entities = [
            {"label": label, "start": start, "end": end, "boxes": [] if box is None else [box]}
            for label, start, end, box in places
        ]
        rows.append({**sample, "entities": entities})
    return write_samples(folder / "dev.jsonl", rows)


def write_samples(path: Path, samples: Iterable[Sample]) -> Path:
    """Writes samples as JSON lines."""
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    return path


def _sample(folder: Path, number: int) -> Sample:
    text, image = _KINDS[number % len(_KINDS)]
    sample = {"id": f"p{number:04d}", "text": f"{text} ({number})"}
    if image is None:
        return sample
    name = f"{number:04d}.jpg"
    # Sides differ from sample to sample, so that no answer can be taken for another's.
    image(160 + number % 9 * 16, 120 + number % 7 * 12).save(folder / name, quality=85)
    return {**sample, "image": name}


def plain_sample(folder: Path, number: int) -> Sample:
    """A sample with one place and an image with nothing in it."""
    blur(96 + number % 8 * 8, 96).save(folder / f"good-{number}.jpg")
    return {
        "id": f"good-{number}",
        "text": f"Rain in Paris ({number})",
        "image": f"good-{number}.jpg",
    }


@dataclass(frozen=True)
class BadSample:
    """A line of data that cannot be answered wholly, and why; ``mended`` is one that can."""

    line: bytes
    id: str
    kind: str
    word: str
    mended: bytes | None = None


def bad_images(folder: Path) -> list[BadSample]:
    """Samples whose text is good and whose image is not; the images are named as the samples."""
    outside = folder.parent / "outside.jpg"
    blur(64, 64).save(outside)
    (folder / "folder.jpg").mkdir()
    (folder / "link-out.jpg").symlink_to(outside)
    (folder / "link-nowhere.jpg").symlink_to("nowhere")
    (folder / "link-loop.jpg").symlink_to("link-loop.jpg")
    os.mkfifo(folder / "pipe.jpg")
    for name, content in _damaged().items():
        (folder / name).write_bytes(content)
    with (folder / "huge-file.jpg").open("wb") as handle:
        handle.truncate(65 * 1024 * 1024)
    return [
        _with_image("gone.jpg", "missing-image", "no such file"),
        _with_image("cut.jpg", "truncated-image", "truncated or damaged"),
        _with_image("cut.png", "truncated-image", "truncated or damaged"),
        _with_image("bomb.png", "too-large", "longest side allowed"),
        _with_image("field.png", "too-large", "the limit is"),
        _with_image("text.jpg", "not-an-image", "no picture riveg knows"),
        _with_image("flat.png", "too-small", "64 x 1 pixels"),
        _with_image("thin.png", "too-small", "1 x 64 pixels"),
        _with_image("document.jpg", "unsupported-format", "PDF"),
        _with_image("drawing.jpg", "unsupported-format", "SVG"),
        _with_image("empty.jpg", "not-an-image", "is empty"),
        _with_image("huge-file.jpg", "too-large", "bytes"),
        _with_image("folder.jpg", "not-an-image", "is a folder"),
        _with_image("pipe.jpg", "not-an-image", "no regular file"),
        _with_image("link-out.jpg", "outside-root", "leads out of"),
        _with_image("link-nowhere.jpg", "missing-image", "no such file"),
        _with_image("link-loop.jpg", "missing-image", "cannot be reached"),
        _with_image("../../etc/passwd", "outside-root", "below the picture folder"),
        _with_image(str(outside), "outside-root", "give that folder with --images"),
        _with_image("good-0.jpg\0.png", "missing-image", "names no file"),
        _with_image("x" * 300 + ".jpg", "missing-image", "cannot be reached"),
        _with_image("\x1b[31m\n.jpg", "missing-image", "\\x1b[31m\\n.jpg"),
    ]


def _with_image(image: str, kind: str, word: str) -> BadSample:
    sample = {"id": f"bad {image}", "text": "Fog in Oslo", "image": image}
    return BadSample(_line(sample), f"bad {image}", kind, word)


def _damaged() -> dict[str, bytes]:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = {kind: _encoded(Image.fromarray(noise), kind) for kind in ("PNG", "JPEG")}
    sides = slice(16, 24)

    def png_of(width: int, height: int) -> bytes:
        header = bytearray(whole["PNG"][:33])
        header[sides] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
        header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
        return bytes(header) + whole["PNG"][33:]

    return {
        "cut.jpg": whole["JPEG"][: len(whole["JPEG"]) // 2],
        "cut.png": whole["PNG"][: len(whole["PNG"]) // 2],
        "bomb.png": png_of(100_000, 100_000),
        "field.png": png_of(19_000, 19_000),
        "text.jpg": b"this is no picture\n",
        "flat.png": _encoded(Image.new("RGB", (64, 1)), "PNG"),
        "thin.png": _encoded(Image.new("RGB", (1, 64)), "PNG"),
        "document.jpg": b"%PDF-1.7\n",
        "drawing.jpg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "empty.jpg": b"",
    }


def _encoded(image: Image.Image, kind: str) -> bytes:
    content = BytesIO()
    image.save(content, kind)
    return content.getvalue()


def bad_lines() -> list[BadSample]:
    """Samples whose line cannot be used; where it has no id, it is named by its number, ``{}``."""
    empty, broken = (_line({"id": id, "text": "Fog in Oslo"}) for id in ("empty", "broken"))
    return [
        _bad_line({"id": "empty", "text": ""}, "empty-text", "no text", empty),
        _bad_line({"id": "white", "text": " \t\u3000\n"}, "empty-text", "no text"),
        _bad_line({"id": "none"}, "missing-text", "neither 'text' nor 'tokens'"),
        _bad_line({"id": "number", "text": 7}, "bad-text", "found int '7'"),
        _bad_line({"id": "half", "text": "a \ud800 b"}, "bad-text", "not valid Unicode"),
        _bad_line({"id": "half-name", "text": "a", "image": "\udc80.jpg"}, "bad-image", "Unicode"),
        _bad_line({"id": "list", "text": "a", "image": ["a.jpg"]}, "bad-image", "found list"),
        _bad_line({"id": "said", "text": "a", "caption": 3}, "bad-caption", "found int"),
        _bad_line({"id": "tokens", "tokens": "a b"}, "bad-tokens", "list of strings"),
        _bad_line({"id": "hollow", "tokens": ["a", None]}, "bad-tokens", "list of strings"),
        _bad_line({"id": "others", "text": "a", "tokens": ["b"]}, "bad-tokens", "do not stand"),
        _bad_line({"id": "no-token", "tokens": []}, "empty-text", "no text"),
        _bad_line(
            {"id": "cut", "text": "a b", "tokens": ["a", "b"], "offsets": [[0, 1], [1, 2]]},
            "bad-offsets",
            "do not cut",
        ),
        _bad_line({"id": {"a": 1}, "text": "a"}, "bad-id", "found dict", id="line-{}"),
        BadSample(b'{"id": "broken", "text": "Fog', "line-{}", "bad-json", "not JSON", broken),
        BadSample(b'["a", "list"]', "line-{}", "bad-json", "found list"),
        BadSample(b'{"text": "\xff\xfe"}', "line-{}", "bad-encoding", "not UTF-8 at byte 10"),
        BadSample(b"[" * 100_000, "line-{}", "bad-json", "not JSON"),
    ]


def _bad_line(
    sample: Sample, kind: str, word: str, mended: bytes | None = None, *, id: str | None = None
) -> BadSample:
    return BadSample(_line(sample), id or str(sample["id"]), kind, word, mended)


def _line(sample: Sample) -> bytes:
    return json.dumps(sample).encode()


def face(width: int, height: int) -> Image.Image:
    """The astronaut's head and shoulders."""
    return _portrait().resize((width, height))


@cache
def _portrait() -> Image.Image:
    with Image.open(ASTRONAUT) as image:
        return image.convert("RGB").crop((100, 10, 360, 210))


def words_in_image(width: int, height: int) -> Image.Image:
    """A slide that says PYCON."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    draw.text((12, height // 3), "PYCON", fill="black", font=ImageFont.load_default(width // 5))
    return image


def blur(width: int, height: int) -> Image.Image:
    """A gradient with nothing in it."""
    across = np.linspace(0, 255, width, dtype=np.uint8)
    return Image.fromarray(np.stack([np.tile(across, (height, 1))] * 3, axis=2))


_KINDS = (
    ("Eileen Collins smiles before her flight with NASA", face),
    ("Grace Hopper speaks at PyCon this year", words_in_image),
    ("good morning everyone, coffee first", blur),
    ("Rain again in Paris", None),
    ("SpaceX counts down at Cape Canaveral", blur),
)
