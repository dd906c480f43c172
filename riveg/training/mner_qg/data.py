"""Annotated posts with the boxes of each type, gold or another system's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from riveg.datasets.dataset import quoted
from riveg.errors import UserError
from riveg.geometry.boxes import clip_box
from riveg.runs.reading import read_records
from riveg.training.data import AnnotatedSplit
from riveg.training.mner_qg.settings import MnerQgTrainingSettings
from riveg.training.pictures import UsablePictures
from riveg.types import Box, Gold, GoldEntity, ImageSize, Sample

Edges = tuple[float, float, float, float]
"""xyxy, shares of the image's sides in [0, 1]."""

LabelBoxes = Mapping[str, tuple[Box, ...] | None]
"""The boxes of each type of a post; ``None``: not known. A type that is not in it has none."""


@dataclass(frozen=True, slots=True)
class QueryPost:
    """An annotated post.

    Args:
        sample: The post.
        gold: Its annotation.
        size: Of its upright image; ``None`` without one that can be used.
        boxes: The boxes of each type, in pixels of the image.
    """

    sample: Sample
    gold: Gold
    size: ImageSize | None
    boxes: LabelBoxes

    def inside(self, label: str) -> tuple[Box, ...] | None:
        """The boxes of a type within the image; ``None`` where nobody knows them."""
        boxes = self.boxes.get(label, ())
        if boxes is None or self.size is None:
            return None
        return tuple(one for box in boxes if (one := clip_box(box, self.size)) is not None)


def shares(box: Box, size: ImageSize) -> Edges:
    """A box in pixels of an image as shares of its sides."""
    width, height = size
    return box.x_min / width, box.y_min / height, box.x_max / width, box.y_max / height


@dataclass(frozen=True, slots=True)
class QueryPosts:
    """The posts of a split that have words, in file order, and what a user should know of them.

    Args:
        source: The split.
        posts: Its posts.
        remarks: Pictures that are missing or broken, and boxes that lie outside of theirs.
    """

    source: AnnotatedSplit
    posts: tuple[QueryPost, ...]
    remarks: tuple[str, ...]


def label_of(entity: GoldEntity, level: str) -> str:
    """The type of an entity on the level that is learnt."""
    return entity.label if level == "coarse" else str(entity.fine_label)


def read_posts(
    config: MnerQgTrainingSettings, source: AnnotatedSplit, weak: Mapping[str, LabelBoxes]
) -> QueryPosts:
    """The posts of a split; each picture is opened once, to know which can be used.

    Args:
        config: What is trained.
        source: The split.
        weak: The boxes of posts by id, in the place of gold; others have those of gold.
    """
    pictures = UsablePictures(source)
    posts: list[QueryPost] = []
    outside = 0
    for sample, gold in source.pairs:
        if not sample.tokens:
            continue
        image = pictures.of(sample)
        size = None if image is None else image.size
        boxes = weak.get(sample.id) or _gold_boxes(gold, config.level)
        post = QueryPost(sample, gold, size, boxes)
        posts.append(post)
        for label, known in boxes.items() if size else ():
            outside += len(known or ()) - len(post.inside(label) or ())
    remarks = list(pictures.remarks("teach text alone"))
    if outside:
        remarks.append(f"{source.name}: {outside} boxes lie outside of their pictures: left out")
    return QueryPosts(source, tuple(posts), tuple(remarks))


def _gold_boxes(gold: Gold, level: str) -> LabelBoxes:
    found: dict[str, tuple[Box, ...] | None] = {}
    for entity in gold.entities:
        label = label_of(entity, level)
        before = found.get(label, ())
        unknown = before is None or entity.boxes is None
        found[label] = None if unknown else (*(before or ()), *(entity.boxes or ()))
    return found


def read_weak_boxes(folders: Sequence[Path], level: str) -> dict[str, LabelBoxes]:
    """The regions that runs have found for the entities of each type, by the post's id.

    Raises:
        UserError: If a folder holds no finished run, a run has grounded nothing, or two runs are
            about one post.
    """
    found: dict[str, LabelBoxes] = {}
    for folder in folders:
        regions = 0
        for sample in read_records(folder):
            if sample.id in found:
                raise UserError(
                    f"weak_boxes: {folder} is about {quoted(sample.id)}, as another run before it"
                )
            boxes: dict[str, tuple[Box, ...] | None] = {}
            for entity in sample.entities or ():
                label = entity.label if level == "coarse" else str(entity.fine_label)
                before = boxes.get(label, ())
                unknown = before is None or entity.regions is None
                own = tuple(region.box for region in entity.regions or () if not region.guess)
                boxes[label] = None if unknown else (*(before or ()), *own)
                regions += len(own)
            if boxes:
                found[sample.id] = boxes
        if not regions:
            raise UserError(f"weak_boxes: {folder}: its run has no region that could be learnt")
    return found


def require_queries(config: MnerQgTrainingSettings, *splits: QueryPosts) -> None:
    """Makes sure that each type of the data has a query.

    Raises:
        UserError: If one has none.
    """
    for split in splits:
        for post in split.posts:
            for entity in post.gold.entities:
                label = label_of(entity, config.level)
                if label not in config.queries:
                    raise UserError(
                        f"queries: the type {quoted(label)} of {quoted(post.sample.id)} in "
                        f"{split.source.name} has none; add queries.{label}, the text that asks "
                        "for it"
                    )
