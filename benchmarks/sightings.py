"""Counts what `riveg/training/entailer_sightings.py` derives the entailer's image evidence from.

    python benchmarks/sightings.py COCO --data twitter-gmner

COCO is a folder with photographs and a `gold.jsonl`, a line an image: `image`, `width`, `height`,
`objects: [{label, box}]` (COCO's class, xyxy in pixels). The observer is the shipped one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from riveg.images.loader import ImageLoader
from riveg.nn.entailment_features import caption_words, count_people, known_label
from riveg.nn.named_things import CLASSES
from riveg.stages.observers.evidence import EvidenceObserver
from riveg.training.box_prior import read_boxed_entities
from riveg.training.entailer_data import JudgedSample, read_judged
from riveg.training.entailer_sightings import Found, Sightings, SizeBand, derive_log_odds
from riveg.types import Box, ImageRef, ImageSize, Issue, Observation, Sample
from riveg.vision.plain.people import LEAST_SHARE, SeenPerson, find_people

_BOUNDS = (LEAST_SHARE, 0.05, 0.15, float("inf"))


@dataclass(frozen=True, slots=True)
class Photograph:
    """What is there: share of the image that the largest person fills, classes of large things.

    ``small``: classes of things under 2 % of the image, which say neither yes nor no.
    """

    largest: float
    things: frozenset[str]
    small: frozenset[str]
    seen: Sequence[Observation]
    people: Sequence[SeenPerson]

    @property
    def has_face(self) -> bool:
        return any(one.has_face for one in self.people)

    @property
    def seen_things(self) -> frozenset[str]:
        return frozenset(one.label for one in self.seen if one.kind == "object" and one.label)


def main() -> None:
    """Prints the counts and the log-odds that they give."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("coco", type=Path)
    parser.add_argument("--data", default="twitter-gmner")
    arguments = parser.parse_args()
    counts = count(list(photographs(arguments.coco)), arguments.data)
    print(counts)
    print(derive_log_odds(counts))


def photographs(folder: Path) -> Iterator[Photograph]:
    """The photographs with what was observed in them."""
    lines = (folder / "gold.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    observer = EvidenceObserver(ImageLoader([folder]), lettering="never")
    samples = [
        Sample(row["image"], "", (), (), ImageRef(row["image"], row["width"], row["height"]))
        for row in rows
    ]
    for row, seen in zip(rows, observer.observe(samples), strict=True):
        if isinstance(seen, Issue) or not isinstance(seen, tuple):
            raise TypeError(f"{row['image']}: {seen}")
        size = ImageSize(row["width"], row["height"])
        shares = [(one["label"], _share(Box(*one["box"]), size)) for one in row["objects"]]
        large = frozenset(label for label, share in shares if share >= LEAST_SHARE)
        yield Photograph(
            largest=max((share for label, share in shares if label == "person"), default=0.0),
            things=large,
            small=frozenset(label for label, _ in shares) - large,
            seen=seen,
            people=find_people(seen, size),
        )


def count(images: Sequence[Photograph], data: str) -> Sightings:
    """All counts, from the photographs and the train split of a dataset."""
    boxes = [
        max(_share(box, entity.image) for box in entity.boxes)
        for entities in read_boxed_entities(data, "train")
        for entity in entities
        if known_label(entity.label) == "PER"
    ]
    small, middle, large = (
        _band(
            sum(low <= share < high for share in boxes),
            [one for one in images if low <= one.largest < high],
        )
        for low, high in pairwise(_BOUNDS)
    )
    peopled = [one for one in images if one.largest > 0]
    judged = read_judged(data, "train")
    return Sightings(
        small=small,
        middle=middle,
        large=large,
        peopled=_found(bool(one.people) for one in peopled),
        peopled_faces=_found(one.has_face for one in peopled if one.people),
        empty=_found(bool(one.people) for one in images if one.largest == 0),
        beside=_found(_unshown_beside_shown(judged)),
        captions_shown=_found(_captions_with_people(judged, shown=True)),
        captions_unshown=_found(_captions_with_people(judged, shown=False)),
        things=_found(name in one.seen_things for one in images for name in CLASSES & one.things),
        no_things=_found(
            name in one.seen_things for one in images for name in CLASSES - one.things - one.small
        ),
    )


def _share(box: Box, size: ImageSize) -> float:
    return box.area / (size.width * size.height)


def _band(boxes: int, images: Sequence[Photograph]) -> SizeBand:
    return SizeBand(
        boxes,
        _found(bool(one.people) for one in images),
        _found(one.has_face for one in images if one.people),
    )


def _found(answers: Iterable[bool]) -> Found:
    known = list(answers)
    return Found(sum(known), len(known))


def _persons(one: JudgedSample) -> Iterator[bool]:
    """Whether each person of the sample is shown."""
    for entity, shown in zip(one.sample.entities or (), one.shown, strict=True):
        if known_label(entity.label) == "PER":
            yield shown


def _unshown_beside_shown(judged: Sequence[JudgedSample]) -> Iterator[bool]:
    for one in judged:
        persons = list(_persons(one))
        yield from (any(persons) for shown in persons if not shown)


def _captions_with_people(judged: Sequence[JudgedSample], *, shown: bool) -> Iterator[bool]:
    for one in judged:
        people = count_people(caption_words(one.sample.caption or ""))
        yield from (people > 0 for is_shown in _persons(one) if is_shown is shown)


if __name__ == "__main__":
    main()
