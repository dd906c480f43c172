"""How large is the report of 1 500 samples, how long does it take to write, and to open?

Samples are made on the fly: three entities each, two of them with a box and a mask of several
parts, and an image of 600 x 450 pixels with as much detail as a photograph (the quickstart's, mixed
and tinted, so that no two are the same). The page is opened in headless Chromium from disk; it is
open when its first sample, with the image, is drawn and everything after it has been read.

    python benchmarks/report.py [--posts 1500] [--keep FOLDER] [--opens 3]
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from riveg.evaluation.cases import AnnotatedEntity
from riveg.evaluation.gold import GoldSample, GoldSet, gold_set
from riveg.files import shipped
from riveg.formats.records import encode
from riveg.geometry.masks import mask_from_array
from riveg.report.builder import WrittenPage, write_page
from riveg.runs.folder import RunFolder
from riveg.text.tokenise import join_tokens
from riveg.types import Box, Entailment, Entity, ImageRef, Mask, Region, Sample, Span

SIZE = (600, 450)
TOKENS = [
    "Eileen",
    "Collins",
    "of",
    "NASA",
    "tells",
    "the",
    "crowd",
    "in",
    "Houston",
    "how",
    "it",
    "was",
    ",",
    "part",
]
ENTITIES = (("PER", Span(0, 2)), ("ORG", Span(3, 4)), ("LOC", Span(8, 9)))


def photographs(folder: Path, count: int) -> Iterator[str]:
    """Writes images and tells their names."""
    files = sorted(shipped("data", "quickstart", "images").glob("*.jpg"))
    shots = [Image.open(file).convert("RGB").resize(SIZE) for file in files]
    grain = np.random.default_rng(0).normal(0, 6, (SIZE[1], SIZE[0], 3))
    for number, shot in islice(enumerate(cycle(shots)), count):
        other = ImageChops.offset(shots[(number * 7 + 3) % len(shots)], number % 600, number % 450)
        mixed = np.asarray(Image.blend(shot, other, 0.25)) + np.roll(grain, number, axis=1)
        pixels = Image.fromarray(mixed.clip(0, 255).astype(np.uint8))
        pixels.save(folder / f"{number:05d}.jpg", quality=88)
        yield f"{number:05d}.jpg"


def ragged(box: Box, seed: int) -> Mask:
    """A mask of the box with an uneven rim and a hole."""
    rows, columns = np.ogrid[: SIZE[1], : SIZE[0]]
    x, y = (box.x_min + box.x_max) / 2, (box.y_min + box.y_max) / 2
    across, down = (columns - x) / box.width * 2, (rows - y) / box.height * 2
    angle = np.arctan2(down, across)
    rim = 1 - 0.12 * np.abs(np.sin(9 * angle + seed)) - 0.05 * np.sin(31 * angle)
    away = across**2 + down**2
    return mask_from_array((away < rim) & (away > 0.04), "grabcut")


def make_sample(number: int, name: str) -> Sample:
    """One sample; every third one's first box is elsewhere."""
    tokens = (*TOKENS, str(number))
    text, offsets = join_tokens(tokens)
    rng = np.random.default_rng(number)
    entities = []
    for order, (label, span) in enumerate(ENTITIES):
        left, top = rng.uniform(10, 250), rng.uniform(10, 180)
        box = Box(left, top, left + rng.uniform(80, 300), top + rng.uniform(80, 250))
        region = Region(box, float(rng.uniform()), ragged(box, number), "evidence:face")
        shown = order != 1
        probability = float(rng.uniform(0.5, 1) if shown else rng.uniform(0, 0.5))
        entities.append(
            Entity(
                f"e{order}",
                " ".join(tokens[span.start : span.end]),
                label,
                span,
                score=float(rng.uniform(0.3, 1)),
                label_scores={"PER": 0.7, "LOC": 0.1, "ORG": 0.15, "OTHER": 0.05},
                expression="a woman in an orange suit with a flag behind her",
                description="An astronaut who commanded a mission, seen from the front.",
                expression_source="template",
                entailment=Entailment(probability, shown, "mini"),
                regions=(region,) if shown else (),
            )
        )
    image = ImageRef(name, *SIZE)
    caption = "a smiling woman in front of a flag and a model"
    return Sample(
        f"post-{number:05d}", text, tokens, offsets, image, caption, entities=tuple(entities)
    )


def gold_of(sample: Sample, number: int) -> GoldSample:
    """Gold that agrees with two thirds of the boxes."""
    entities = []
    for entity in sample.entities or ():
        boxes = tuple(region.box for region in entity.regions or ())
        if number % 3 == 0 and boxes:
            boxes = (Box(500, 350, 590, 440),)
        entities.append(AnnotatedEntity(entity.text, entity.label, entity.span, boxes=boxes))
    return GoldSample(tuple(entities), SIZE)


def make_run(folder: Path, count: int) -> GoldSet:
    """A run folder of so many samples, and its gold."""
    images = folder / "pictures"
    images.mkdir(parents=True)
    run, gold = folder / "run", {}
    run.mkdir()
    with (run / "records.jsonl").open("wb") as handle:
        for number, name in enumerate(photographs(images, count)):
            sample = make_sample(number, name)
            gold[sample.id] = gold_of(sample, number)
            handle.write(encode(sample) + b"\n")
    stages = {name: {"backend": "mini"} for name in ("tag", "entail", "ground", "segment")}
    manifest = {"samples": count, "image_roots": [str(images)], "stages": stages}
    RunFolder(run).write_manifest(manifest)
    (run / "config.yaml").write_text("entail: {threshold: 0.5}\n")
    return gold_set("made-up", gold)


def open_times(page: Path, opens: int) -> list[tuple[float, float]]:
    """Seconds until the first sample is drawn, and until all is read, in fresh browsers."""
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium") or shutil.which("google-chrome")
    times = []
    with sync_playwright() as started:
        for _ in range(opens):
            browser = started.chromium.launch(
                executable_path=executable, args=["--no-sandbox", "--disable-gpu"]
            )
            tab = browser.new_page(viewport={"width": 1280, "height": 800})
            before = time.perf_counter()
            tab.goto(page.as_uri(), wait_until="commit")
            tab.wait_for_selector(".card")
            drawn = time.perf_counter() - before
            tab.wait_for_selector("html[data-ready=whole] .photo")
            times.append((drawn, time.perf_counter() - before))
            browser.close()
    return times


def main() -> None:
    """Makes the samples, writes the page, opens it, prints what that took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--posts", type=int, default=1500)
    parser.add_argument("--opens", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="write into this new folder and leave it there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch) / "report"
        gold = make_run(folder, options.samples)
        before = time.perf_counter()
        written: WrittenPage = write_page(folder / "run", folder / "report.html", gold=gold)
        seconds = time.perf_counter() - before
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{options.samples} posts: {written.size / 1e6:.1f} MB, written in {seconds:.1f} s")
        print(f"most memory: {memory:.0f} MiB")
        for drawn, whole in open_times(written.path, options.opens):
            print(f"open: first sample after {drawn:.2f} s, all read after {whole:.2f} s")


if __name__ == "__main__":
    main()
