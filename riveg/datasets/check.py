"""What a dataset holds and everything that is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from riveg.datasets.conll import ConllReader
from riveg.datasets.dataset import Dataset, Defect, Row, quoted
from riveg.datasets.first_seen import FirstSeen
from riveg.datasets.label_defects import LabelChecker
from riveg.datasets.standard_input import shown
from riveg.errors import ImageFault
from riveg.files import file_digest
from riveg.text.spans import joined_tokens, span_text
from riveg.types import Box, Gold, GoldEntity, ImageRef, ImageSize


@dataclass(frozen=True, slots=True)
class TypeCounts:
    """Entities of one type, and those of them that have a box."""

    entities: int
    groundable: int


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """What one split holds.

    ``boxes`` counts a box once for every mention that it belongs to, ``boxes_in_files`` once;
    ``boxes_per_mention`` is number of boxes -> groundable mentions; ``by_fine_type`` is type ->
    fine type -> counts, empty where no entity has a fine type.
    """

    samples: int
    entities: int
    groundable: int
    boxes: int
    boxes_in_files: int
    with_file: int
    without_entity: int
    by_type: Mapping[str, TypeCounts]
    boxes_per_mention: Mapping[int, int]
    forms: Mapping[str, int]
    by_fine_type: Mapping[str, Mapping[str, TypeCounts]]


@dataclass(frozen=True, slots=True)
class Report:
    """Counts by split, every defect in file order, and what else a user should know."""

    dataset: str
    version: str | None
    has_gold: bool
    has_boxes: bool
    splits: Mapping[str, SplitCounts]
    defects: tuple[Defect, ...]
    notes: tuple[str, ...]


def check(dataset: Dataset) -> Report:
    """Reads everything, decodes every image, compares all splits; nothing is changed."""
    splits: dict[str, SplitCounts] = {}
    defects: list[Defect] = []
    labels = LabelChecker(dataset)
    with ExitStack() as stack:
        memory = _Memory(*(stack.enter_context(FirstSeen()) for _ in range(4)))
        images = _image_checker(dataset, memory)
        if images is None and dataset.image_roots:
            places = ", ".join(str(root) for root in dataset.image_roots)
            message = "no such picture folder, so no picture was checked"
            defects.append(Defect("missing-folder", places, message))
        for part in dataset.by_split():
            split = part.splits[0]
            tally = _Tally()
            for row in part.rows():
                tally.add(row)
                defects += _row_defects(row, labels)
                defects += _repeated(row, split, memory)
                if images is not None:
                    defects += images.defects(row, split)
                else:
                    defects += _misplaced(row, row.size, "declared")
            splits[split] = tally.counts()
            if not splits[split].samples:
                place = Path(shown(dataset.reader.files[split])).name
                defects.append(Defect("no-samples", place, "holds no sample"))
    return Report(
        dataset=dataset.name,
        version=dataset.version,
        has_gold=dataset.has_gold,
        has_boxes=dataset.has_boxes,
        splits=splits,
        defects=tuple(defects),
        notes=(*dataset.notes, *_tag_schemes(dataset), *_unused_files(dataset, splits)),
    )


def _tag_schemes(dataset: Dataset) -> Iterator[str]:
    """How tags are read that are not plain BIO."""
    reader = dataset.reader
    if not isinstance(reader, ConllReader):
        return
    for split in dataset.splits:
        names = dict.fromkeys(scheme.name.upper() for scheme in reader.schemes(split))
        if [*names] != ["BIO"]:
            yield f"the tags of {reader.files[split].name} are read as {', then '.join(names)}"


def _unused_files(dataset: Dataset, splits: Mapping[str, SplitCounts]) -> Iterator[str]:
    """Annotation files that belong to no sample, counted once all splits have been read."""
    reader = dataset.reader
    if not isinstance(reader, ConllReader) or reader.annotations is None:
        return
    if set(splits) != set(reader.files):
        return
    folder, suffix = reader.annotations.folder, reader.annotations.suffix
    files = sum(1 for path in folder.iterdir() if path.suffix == suffix)
    unused = files - sum(counts.with_file for counts in splits.values())
    if unused > 0:
        yield f"{unused} of {files} {suffix} files in {folder} belong to no sample that was read"


@dataclass(frozen=True, slots=True)
class _Memory:
    """Where ids, texts, images' paths and images' bytes were first seen."""

    ids: FirstSeen
    texts: FirstSeen
    paths: FirstSeen
    contents: FirstSeen


@dataclass(slots=True)
class _Tally:
    """Running counts of a split."""

    total: Counter[str] = field(default_factory=Counter)
    entities: Counter[str] = field(default_factory=Counter)
    groundable: Counter[str] = field(default_factory=Counter)
    boxes: Counter[int] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)
    fine: Counter[tuple[str, str]] = field(default_factory=Counter)
    fine_groundable: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, row: Row) -> None:
        self.total["samples"] += 1
        self.forms.update(row.forms)
        if row.objects is not None:
            self.total["files"] += 1
            self.total["objects"] += row.objects
        if row.gold is None:
            return
        self.total["without"] += not row.gold.entities
        for entity in row.gold.entities:
            self.entities[entity.label] += 1
            if entity.boxes:
                self.groundable[entity.label] += 1
                self.boxes[len(entity.boxes)] += 1
            if entity.fine_label is not None:
                key = entity.label, entity.fine_label
                self.fine[key] += 1
                self.fine_groundable[key] += bool(entity.boxes)

    def counts(self) -> SplitCounts:
        return SplitCounts(
            samples=self.total["samples"],
            entities=self.entities.total(),
            groundable=self.groundable.total(),
            boxes=sum(number * mentions for number, mentions in self.boxes.items()),
            boxes_in_files=self.total["objects"],
            with_file=self.total["files"],
            without_entity=self.total["without"],
            by_type={
                label: TypeCounts(number, self.groundable[label])
                for label, number in self.entities.most_common()
            },
            boxes_per_mention=dict(sorted(self.boxes.items())),
            forms=dict(self.forms),
            by_fine_type=self._by_fine_type(),
        )

    def _by_fine_type(self) -> dict[str, dict[str, TypeCounts]]:
        found: dict[str, dict[str, TypeCounts]] = {}
        for (label, fine), number in self.fine.most_common():
            counts = TypeCounts(number, self.fine_groundable[label, fine])
            found.setdefault(label, {})[fine] = counts
        return found


def _row_defects(row: Row, labels: LabelChecker) -> Iterator[Defect]:
    for issue in row.sample.issues:
        yield Defect(issue.kind, row.place, issue.message.removeprefix(f"{row.place}: "))
    yield from row.defects
    if row.gold is None:
        return
    tokens, text, offsets = row.sample.tokens, row.sample.text, row.sample.offsets
    for entity in row.gold.entities:
        yield from labels.defects(entity, row.place)
        covered = {joined_tokens(tokens, entity.span), span_text(text, offsets, entity.span)}
        if entity.text not in covered:
            message = f"{quoted(entity.text)} is not what its tokens say: {quoted(min(covered))}"
            yield Defect("text-mismatch", row.place, message)


def _repeated(row: Row, split: str, memory: _Memory) -> Iterator[Defect]:
    """The same id; the same text or image path in two splits."""
    sample = row.sample
    found = _earlier(memory.ids, sample.id, split, row.place)
    if found is not None:
        kind = "duplicate-id" if found.split == split else "leaked-id"
        yield Defect(kind, row.place, f"the id {quoted(sample.id)} also stands in {found}")
    words = " ".join(sample.tokens)
    if words:
        found = _earlier(memory.texts, words, split, row.place)
        if found is not None and found.split != split:
            yield Defect("leaked-text", row.place, f"the same text stands in {found}")
    if sample.image is not None:
        found = _earlier(memory.paths, sample.image.path, split, row.place)
        if found is not None and found.split != split:
            message = f"the picture {quoted(sample.image.path)} also belongs to {found}"
            yield Defect("leaked-picture", row.place, message)


@dataclass(frozen=True, slots=True)
class _Earlier:
    split: str
    place: str
    detail: str

    def __str__(self) -> str:
        return f"{self.place} ({self.split})"


def _earlier(
    seen: FirstSeen, key: str, split: str, place: str, detail: str = ""
) -> _Earlier | None:
    found = seen.place_of(key, "\0".join((split, place, detail.replace("\0", ""))))
    return None if found is None else _Earlier(*found.split("\0", 2))


def _image_checker(dataset: Dataset, memory: _Memory) -> _ImageChecker | None:
    """``None`` where no image folder exists: one defect is better than one for each sample."""
    if not any(root.is_dir() for root in dataset.image_roots):
        return None
    return _ImageChecker(dataset.image_roots, memory)


class _ImageChecker:
    """Opens images and compares them with each other and with the annotation."""

    def __init__(self, roots: tuple[Path, ...], memory: _Memory) -> None:
        from riveg.images.loader import ImageLoader  # numpy and Pillow, so on use

        self._memory = memory
        self._loader = ImageLoader(roots)

    def defects(self, row: Row, split: str) -> Iterator[Defect]:
        """What is wrong with the row's image, and with its boxes in that image."""
        image = row.sample.image
        if image is None:
            return
        try:
            height, width = self._loader.load(image).shape[:2]
        except ImageFault as fault:
            yield Defect(fault.kind, row.place, str(fault))
            yield from _misplaced(row, row.size, "declared")
            return
        if row.size is not None and row.size != (width, height):
            declared = f"{row.size.width} x {row.size.height}"
            message = f"{quoted(image.path)} is {width} x {height}, declared is {declared}"
            yield Defect("size-mismatch", row.place, message)
        yield from _misplaced(row, ImageSize(width, height), "real")
        yield from self._copies(image, row.place, split)

    def _copies(self, image: ImageRef, place: str, split: str) -> Iterator[Defect]:
        digest = file_digest(self._loader.locate(image.path))
        found = _earlier(self._memory.contents, digest, split, place, image.path)
        if found is None or found.detail == image.path:
            return
        kind = "duplicate-picture" if found.split == split else "leaked-picture"
        message = f"{quoted(image.path)} has the same bytes as {quoted(found.detail)} of {found}"
        yield Defect(kind, place, message)


def _misplaced(row: Row, size: ImageSize | None, which: str) -> Iterator[Defect]:
    """Boxes that leave an image of this size, and masks of images of another size."""
    if size is None or row.gold is None:
        return
    for entity in row.gold.entities:
        sizes = dict.fromkeys((mask.width, mask.height) for mask in entity.masks or ())
        for width, height in sizes:
            if (width, height) != size:
                message = f"a mask of {quoted(entity.text)} is {width} x {height}, the {which} size"
                yield Defect("mask-size", row.place, f"{message} is {size.width} x {size.height}")
    for entity, box in _boxes(row.gold):
        if min(box.x_min, box.y_min) < 0 or box.x_max > size.width or box.y_max > size.height:
            edges = f"{box.x_min:g},{box.y_min:g},{box.x_max:g},{box.y_max:g}"
            message = f"the box {edges} of {quoted(entity.text)} leaves the {which} size"
            yield Defect("box-outside", row.place, f"{message} {size.width} x {size.height}")


def _boxes(gold: Gold) -> Iterator[tuple[GoldEntity, Box]]:
    for entity in gold.entities:
        for box in entity.boxes or ():
            yield entity, box
