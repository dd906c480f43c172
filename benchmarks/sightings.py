"""Counts what `riveg/training/entailer/sightings.py` derives the entailer's image evidence from.

    python benchmarks/sightings.py COCO --data twitter-gmner --quoting QUOTING

COCO is a folder with photographs and a `gold.jsonl`, a line an image: `image`, `width`, `height`,
`objects: [{label, box}]` (COCO's class, xyxy in pixels). The observer is the shipped one.
QUOTING is a YAML of the same dataset with other `captions`: long ones, that quote what is written
in a picture between double quotation marks. The last lines say how often the OCR text of the
photographs spells a name of dev, which can only be chance, and how many boxes of train are at least
three times as wide as high, as lines of letters are.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from riveg.images.loader import ImageLoader
from riveg.nn.entailment_features import caption_words, count_people, known_label
from riveg.nn.image_evidence import LONG_LINE
from riveg.nn.named_things import CLASSES
from riveg.stages.observers.evidence import EvidenceObserver
from riveg.training.box_prior import read_boxed_entities
from riveg.training.data import read_annotated
from riveg.training.entailer.data import JudgedSample, judged_samples
from riveg.training.entailer.sightings import Found, Sightings, SizeBand, derive_log_odds
from riveg.types import Box, ImageRef, ImageSize, Issue, Observation, Sample
from riveg.vision.plain.names_in_ocr import find_spellings
from riveg.vision.plain.people import LEAST_SHARE, SeenPerson, find_people

_BOUNDS = (LEAST_SHARE, 0.05, 0.15, float("inf"))
_NAMED = frozenset({"ORG", "OTHER"})
_LEAST_LETTERS = 4
_QUOTE = re.compile('["\u201c]([^"\u201c\u201d]+)["\u201d]')


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
    parser.add_argument("--quoting", required=True)
    arguments = parser.parse_args()
    images = list(photographs(arguments.coco))
    counts = count(images, arguments.data, arguments.quoting)
    print(counts)
    print(derive_log_odds(counts))
    print("names of dev that OCR text of the photographs spells:", chance(images, arguments.data))
    for label, wide in wide_boxes(arguments.data).items():
        print("boxes three times as wide as high:", label, wide)


def photographs(folder: Path) -> Iterator[Photograph]:
    """The photographs with what was observed in them."""
    lines = (folder / "gold.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    observer = EvidenceObserver(ImageLoader([folder]), lettering="always")
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


def count(images: Sequence[Photograph], data: str, quoting: str) -> Sightings:
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
    judged = judged_samples(read_annotated(data, "train"))
    quotes = list(_quotes(judged_samples(read_annotated(quoting, "train"))))
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
        persons=_found(_answers(judged, {"PER"})),
        named=_found(_answers(judged, _NAMED)),
        quoted=_found(one.shown for one in quotes if one.label in _NAMED and one.is_short),
        long_quoted=_found(one.shown for one in quotes if one.label in _NAMED and not one.is_short),
        quoted_persons=_found(one.shown for one in quotes if one.label == "PER" and one.is_short),
    )


@dataclass(frozen=True, slots=True)
class QuotedName:
    """A name of at least four letters that a caption quotes, once a post; words of the quote."""

    label: str
    shown: bool
    words: int

    @property
    def is_short(self) -> bool:
        return self.words <= LONG_LINE


def chance(images: Sequence[Photograph], data: str) -> Found:
    """Names of dev, of at least four letters, that stand in OCR text of other pictures."""
    names = {
        entity.text
        for one in judged_samples(read_annotated(data, "dev"))
        for entity in one.sample.entities or ()
        if len("".join(_words(entity.text))) >= _LEAST_LETTERS
    }
    read = [one.seen for one in images if any(found.kind == "text" for found in one.seen)]
    return _found(bool(find_spellings(name, seen)) for seen in read for name in sorted(names))


def wide_boxes(data: str) -> dict[str, Found]:
    """Boxes of train that are at least three times as wide as high, by label."""
    boxes: defaultdict[str, list[bool]] = defaultdict(list)
    for entities in read_boxed_entities(data, "train"):
        for entity in entities:
            boxes[entity.label] += [box.width >= 3 * box.height for box in entity.boxes]
    return {label: _found(wide) for label, wide in sorted(boxes.items())}


def _quotes(judged: Sequence[JudgedSample]) -> Iterator[QuotedName]:
    for one in judged:
        quotes = [_words(quote) for quote in _QUOTE.findall(one.sample.caption or "")]
        known: set[tuple[str, str]] = set()
        for entity, shown in zip(one.sample.entities or (), one.shown, strict=True):
            name = _words(entity.text)
            key = (" ".join(name), entity.label)
            lengths = [len(quote) for quote in quotes if _holds(quote, name)]
            if lengths and key not in known and len("".join(name)) >= _LEAST_LETTERS:
                known.add(key)
                yield QuotedName(known_label(entity.label), shown, min(lengths))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())


def _holds(quote: Sequence[str], name: Sequence[str]) -> bool:
    starts = range(len(quote) - len(name) + 1)
    return any(quote[start : start + len(name)] == name for start in starts)


def _answers(judged: Sequence[JudgedSample], labels: Collection[str]) -> Iterator[bool]:
    for one in judged:
        for entity, shown in zip(one.sample.entities or (), one.shown, strict=True):
            if known_label(entity.label) in labels:
                yield shown


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
