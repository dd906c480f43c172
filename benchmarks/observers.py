"""What do the embedded networks see, against Haar cascades and HOG, GrabCut and ellipses?

FOLDER holds ``gold.jsonl`` and the images that it names: a line for each image with ``image``,
``width``, ``height``, ``objects`` (``label`` of COCO and ``box``, xyxy in pixels) and ``polygons``
(``label`` and ``polygon``, or null where none are known).

- A found box is right if it overlaps a box of its class in gold, IoU at least 0.5; each is used
  once, the best found box chooses first. "5 %" is of the image's area. Recall is counted by the
  size of the gold box, precision over what was found from the size that is given.
- "with bodies": people as ``ground: evidence`` has them, a body grown from each face that no person
  box holds. The cascades' faces are grown the same way.
- Masks of people of at least 2 %: from gold boxes, each with the other gold people as neighbours,
  and end to end (observer, ``ground: evidence``, segmenter) for the images with one person; where
  nobody is found, IoU is 0. Polygons are painted with their outline. A polygon without a box of its
  own (a crowd) is left out.
- Cut-outs: everything of at least 5 % cut out along its box, as an image of its own. Counted are
  those in which a person box fills the image (`FILLING_SHARE`), and those in which such a person
  counts (`find_people`): of people the more the better, of other things the fewer.
- Milliseconds are processor time of one thread, the image already opened.

    python benchmarks/observers.py --data FOLDER [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from haar_and_hog import HaarAndHog

from riveg.config.backend import BuildContext
from riveg.files import asset
from riveg.geometry.arrays import Bitmap, Pixels
from riveg.geometry.boxes import box_iou, whole_edges
from riveg.images.loader import ImageLoader
from riveg.nn.box_prior import read_box_priors
from riveg.protocols import Mention, Segmenter
from riveg.stages.grounders.evidence import EvidenceGrounderConfig
from riveg.stages.observers.evidence import EvidenceObserver, face_network, object_network
from riveg.stages.segmenters.evidence import EvidenceSegmenter
from riveg.stages.segmenters.grabcut import GrabCut
from riveg.types import Box, Entity, ImageRef, ImageSize, Observation, Region, Sample, Span
from riveg.vision.plain.blazeface import BlazeFace
from riveg.vision.plain.nanodet import PERSON, NanoDet
from riveg.vision.plain.people import FILLING_SHARE, find_people

LARGE, COUNTED = 0.05, 0.02
"""Shares of the image from which a thing is large, and from which a person counts."""
HIT = 0.5

Things = list[tuple[str, Box]]
"""Classes and boxes; of what was found, the best first."""


@dataclass(frozen=True)
class Photo:
    """An image and what it shows; ``outlines``: boxes of people in gold with their pixels."""

    image: ImageRef
    gold: Things
    outlines: list[tuple[Box, Bitmap]]

    @property
    def size(self) -> ImageSize:
        """Its sides in pixels."""
        size = self.image.size
        assert size is not None
        return size

    @property
    def people(self) -> list[Box]:
        """Boxes of people in gold."""
        return [box for label, box in self.gold if label == "person"]

    def share(self, box: Box) -> float:
        """Of the image's area."""
        return box.area / (self.size.width * self.size.height)


def read_photos(folder: Path) -> list[Photo]:
    """The images of ``gold.jsonl``."""
    file = folder / "gold.jsonl"
    if not file.is_file():
        raise SystemExit(f"{file}: not there; --help says what the folder holds")
    lines = file.read_text(encoding="utf-8").splitlines()
    return [photo(json.loads(line)) for line in lines if line.strip()]


def photo(row: dict[str, Any]) -> Photo:
    """An image of a line of gold."""
    size = ImageSize(row["width"], row["height"])
    gold = [(one["label"], Box(*one["box"])) for one in row["objects"]]
    outlines = []
    for one in row["polygons"] or ():
        corners = np.array(one["polygon"])
        around = Box(*corners.min(axis=0), *(corners.max(axis=0) + 0.01))
        own = [box for label, box in gold if label == one["label"] == "person"]
        best = max(own, key=lambda box: box_iou(box, around), default=None)
        if best is not None and box_iou(best, around) >= HIT:
            outlines.append((best, painted(corners, size)))
    return Photo(ImageRef(row["image"], *size), gold, outlines)


def painted(corners: Any, size: ImageSize) -> Bitmap:
    """The pixels in a polygon and on its outline."""
    pixels = np.zeros((size.height, size.width), dtype=np.uint8)
    cv2.fillPoly(pixels, [np.round(corners).astype(np.int32)], 1)
    return pixels.astype(np.bool_)


@dataclass
class Count:
    """So many of so many."""

    hits: int = 0
    of: int = 0

    def add(self, hits: Iterable[bool]) -> None:
        """Counts some more."""
        for hit in hits:
            self.hits, self.of = self.hits + hit, self.of + 1

    def __str__(self) -> str:
        return f"{self.hits} of {self.of}" + (f" {self.hits / self.of:.2f}" if self.of else "")


def matched(found: Things, gold: Things) -> dict[int, int]:
    """The place in gold of each found thing that is right, by its own place."""
    pairs: dict[int, int] = {}
    for place, (label, box) in enumerate(found):
        free = [
            (box_iou(box, other), -order)
            for order, (name, other) in enumerate(gold)
            if name == label and order not in pairs.values()
        ]
        overlap, order = max(free, default=(0.0, 0))
        if overlap >= HIT:
            pairs[place] = -order
    return pairs


def score(photos: Sequence[Photo], found: Sequence[Things], *, person: bool) -> dict[str, Count]:
    """Recall by size and precision, of people or of other things."""
    least = COUNTED if person else LARGE
    counts = {name: Count() for name in ("large", "middle", "small", "precision", "false")}
    for one, things in zip(photos, found, strict=True):
        gold = [pair for pair in one.gold if (pair[0] == "person") == person]
        pairs = matched(things, gold)
        for order, (_, box) in enumerate(gold):
            share = one.share(box)
            name = "large" if share >= LARGE else "middle" if share >= COUNTED else "small"
            counts[name].add([order in pairs.values()])
        counted = [place for place, (_, box) in enumerate(things) if one.share(box) >= least]
        counts["precision"].add(place in pairs for place in counted)
        if person and not gold:
            counts["false"].hits += len(counted)
            counts["false"].of += 1
    return counts


Seen = list[tuple[Observation, ...]]


def people_of(photos: Sequence[Photo], seen: Seen, *, grown: bool) -> list[Things]:
    """People, with or without bodies grown from faces."""
    if not grown:
        return things_of(seen, "person")
    priors = read_box_priors(asset("box-prior", "prior.json"))
    found = []
    for one, observations in zip(photos, seen, strict=True):
        faces = sum(observation.kind == "face" for observation in observations)
        people = find_people(
            observations, one.size, reach=priors.reach(max(1, faces)), least_share=0.0
        )
        found.append([("person", person.box) for person in people])
    return found


def things_of(seen: Seen, kind: str) -> list[Things]:
    """Things of a kind with their classes."""
    return [[(one.label or kind, one.box) for one in things if one.kind == kind] for things in seen]


@dataclass
class CutOuts:
    """Things cut out of photographs: where a person box fills the image, and where it counts."""

    filled: Count
    counted: Count


def cut_outs(photos: Sequence[Photo], pixels: Sequence[Pixels]) -> dict[str, CutOuts]:
    """Of people and of other things."""
    networks = NanoDet(object_network(), 0.4), BlazeFace(face_network(), 0.6)
    counts = {name: CutOuts(Count(), Count()) for name in ("people", "other things")}
    for one, whole in zip(photos, pixels, strict=True):
        for label, box in one.gold:
            if one.share(box) < LARGE:
                continue
            left, top, right, bottom = whole_edges(box, one.size)
            seen = look(*networks, whole[top:bottom, left:right])
            size = ImageSize(right - left, bottom - top)
            found = [thing.box for thing in seen if thing.kind == "person"]
            counted = [person.box for person in find_people(seen, size) if not person.is_grown]
            count = counts["people" if label == "person" else "other things"]
            count.filled.add([fills(found, size)])
            count.counted.add([fills(counted, size)])
    return counts


def look(things: NanoDet, faces: BlazeFace, pixels: Pixels) -> list[Observation]:
    """People and faces."""
    people = [one for one in things.detect(pixels) if one.label == PERSON]
    seen = [Observation("person", one.box, one.score) for one in people]
    return seen + [Observation("face", one.box, one.score) for one in faces.detect(pixels)]


def fills(boxes: Iterable[Box], size: ImageSize) -> bool:
    """Whether one of the boxes fills the image."""
    return any(box.area >= FILLING_SHARE * size.width * size.height for box in boxes)


def face_count(photos: Sequence[Photo], seen: Seen) -> str:
    """All faces, and those in images that show no person."""
    faces = [len(one) for one in things_of(seen, "face")]
    alone = sum(count for one, count in zip(photos, faces, strict=True) if not one.people)
    return f"{sum(faces)} ({alone})"


def timed(ask: Callable[[Any], Any], items: Iterable[Any]) -> tuple[list[Any], float]:
    """The answers, and milliseconds of processor time for each of them."""
    start = time.process_time()
    answers = [ask(one) for one in items]
    return answers, 1000 * (time.process_time() - start) / max(1, len(answers))


def sample_of(photo: Photo, *regions: Region, seen: Sequence[Observation] = ()) -> Sample:
    """A post about one person."""
    entity = Entity("e0", "Somebody", "PER", Span(0, 1), regions=regions or None)
    return Sample(
        photo.image.path,
        "Somebody",
        ("Somebody",),
        ((0, 8),),
        photo.image,
        observations=tuple(seen),
        entities=(entity,),
    )


def mention(sample: Sample) -> Mention:
    """The one entity of a sample."""
    assert sample.entities is not None
    return Mention(sample, sample.entities[0])


def pixel_iou(one: Bitmap, other: Bitmap) -> float:
    """Of two masks of one image."""
    return float((one & other).sum() / max(1, (one | other).sum()))


@dataclass(frozen=True)
class MaskScore:
    """Mean IoU, the share of masks of at least 0.5, how many, ms a mask, masks by source.

    The milliseconds of an ellipse are those of the cut that it stands in for.
    """

    iou: float
    good: float
    masks: int
    ms: float
    sources: dict[str, int]


def mask_score(segmenter: Segmenter, cases: Sequence[tuple[Sample | None, Bitmap]]) -> MaskScore:
    """How well regions are cut; ``None``: there was no region."""
    overlaps: list[float] = []
    sources: dict[str, int] = {}
    spent = 0.0
    for sample, gold in cases:
        if sample is None:
            overlaps.append(0.0)
            continue
        (answer,), ms = timed(lambda one: segmenter.segment([mention(one)])[0], [sample])
        spent += ms
        overlaps.append(pixel_iou(answer[0].to_numpy(), gold))
        sources[answer[0].source] = sources.get(answer[0].source, 0) + 1
    count = len(overlaps)
    good = sum(overlap >= HIT for overlap in overlaps)
    return MaskScore(
        sum(overlaps) / max(1, count),
        good / max(1, count),
        count,
        spent / max(1, sum(sources.values())),
        sources,
    )


def gold_cases(photos: Sequence[Photo]) -> list[tuple[Sample | None, Bitmap]]:
    """Everybody of at least 2 % whose pixels are known, boxes from gold."""
    cases: list[tuple[Sample | None, Bitmap]] = []
    for one in photos:
        seen = [Observation("person", box, 1.0) for box in one.people]
        for box, pixels in one.outlines:
            if one.share(box) >= COUNTED:
                region = Region(box, 1.0, source="evidence:person")
                cases.append((sample_of(one, region, seen=seen), pixels))
    return cases


def lone_cases(
    photos: Sequence[Photo], seen: Seen, context: BuildContext
) -> list[tuple[Sample | None, Bitmap]]:
    """People who are alone in their image, boxes by ``ground: evidence``."""
    grounder = EvidenceGrounderConfig().build(context)
    cases: list[tuple[Sample | None, Bitmap]] = []
    for one, observations in zip(photos, seen, strict=True):
        if len(one.people) != 1 or not one.outlines or one.share(one.people[0]) < COUNTED:
            continue
        (regions,) = grounder.ground([mention(sample_of(one, seen=observations))])
        shown = [region for region in regions if region.source != "evidence:prior"]
        sample = sample_of(one, *shown[:1], seen=observations) if shown else None
        cases.append((sample, one.outlines[0][1]))
    return cases


def ellipses(images: ImageLoader) -> GrabCut:
    """A segmenter whose every cut counts as failed, so that it gives ellipses."""
    return GrabCut(images, least_share=1.0, most_share=0.0, threads=1)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows of a name and its values."""
    print(f"\n{title:<30}" + "".join(f"{name:>16}" for name in columns))
    for name, *values in rows:
        print(f"{name:<30}" + "".join(f"{value:>16}" for value in values))


def measure(folder: Path) -> dict[str, Any]:
    """Everything, printed and returned."""
    photos = read_photos(folder)
    images = ImageLoader([folder], cache_bytes=1 << 30)
    context = BuildContext(images, folder)
    pixels: list[Pixels] = [images.load(one.image) for one in photos]
    observer = EvidenceObserver(images, lettering="never", threads=1)
    samples = [sample_of(one) for one in photos]
    now, whole_ms = timed(lambda one: observer.observe([one])[0], samples)
    before, before_ms = timed(HaarAndHog().observe, pixels)
    _, things_ms = timed(NanoDet(object_network(), 0.4).detect, pixels)
    _, faces_ms = timed(BlazeFace(face_network(), 0.6).detect, pixels)

    print(f"{len(photos)} images, {sum(len(one.people) for one in photos)} people")
    columns = {
        "NanoDet": score(photos, people_of(photos, now, grown=False), person=True),
        "with bodies": score(photos, people_of(photos, now, grown=True), person=True),
        "Haar + HOG": score(photos, people_of(photos, before, grown=True), person=True),
    }
    names = {
        "large": "found, of at least 5 %",
        "middle": "found, of 2 to 5 %",
        "small": "found, smaller",
        "precision": "right, of at least 2 %",
    }
    rows = [
        (text, *(str(counts[key]) for counts in columns.values())) for key, text in names.items()
    ]
    alone = columns["NanoDet"]["false"].of
    rows.append(
        (f"false, {alone} images without", *(str(one["false"].hits) for one in columns.values()))
    )
    print_table("people", list(columns), rows)

    things = score(photos, things_of(now, "object"), person=False)
    print_table(
        "other things of at least 5 %",
        ["NanoDet"],
        [("found, right class", str(things["large"])), ("right", str(things["precision"]))],
    )
    faces = {"BlazeFace": face_count(photos, now), "Haar": face_count(photos, before)}
    print_table("faces", list(faces), [("found (in images without people)", *faces.values())])
    cuts = cut_outs(photos, pixels)
    print_table(
        "cut-outs, a person fills it",
        ["found", "counts"],
        [(name, str(one.filled), str(one.counted)) for name, one in cuts.items()],
    )
    spent = {
        "NanoDet": things_ms,
        "BlazeFace": faces_ms,
        "observe, no OCR": whole_ms,
        "Haar + HOG": before_ms,
    }
    print_table("ms an image", [], [(name, f"{value:.1f}") for name, value in spent.items()])

    segmenters: dict[str, Segmenter] = {
        "evidence": EvidenceSegmenter(images, threads=1),
        "grabcut": GrabCut(images, threads=1),
        "ellipse": ellipses(images),
    }
    masks = {}
    cases = gold_cases(photos)
    for name, segmenter in segmenters.items():
        masks[f"gold boxes, {name}"] = mask_score(segmenter, cases)
    lone = lone_cases(photos, now, context)
    for name, segmenter in segmenters.items():
        masks[f"lone, {name}"] = mask_score(segmenter, lone)
    old = lone_cases(photos, before, context)
    masks["lone, Haar + HOG, grabcut"] = mask_score(segmenters["grabcut"], old)
    print_table(
        "masks of people",
        ["mean IoU", "at least 0.5", "ms a mask"],
        [
            (
                f"{name} ({one.masks})",
                f"{one.iou:.3f}",
                f"{one.good:.0%}",
                "-" if "ellipse" in name else f"{one.ms:.1f}",
            )
            for name, one in masks.items()
        ],
    )
    return {
        "images": len(photos),
        "people": {name: _plain(counts) for name, counts in columns.items()},
        "things": _plain(things),
        "faces": faces,
        "cut-outs": {name: asdict(one) for name, one in cuts.items()},
        "ms": spent,
        "masks": {name: asdict(one) for name, one in masks.items()},
    }


def _plain(counts: dict[str, Count]) -> dict[str, dict[str, int]]:
    return {name: asdict(count) for name, count in counts.items()}


def main() -> None:
    """Measures, prints, and writes the figures where it is told to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    figures = measure(arguments.data)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
