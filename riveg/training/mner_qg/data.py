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
        """The boxes of a type within the image; ``None`` where nobody knows them.

        That is so, too, where all of them lie outside: the picture shows the type somewhere else.
        """
        boxes = self.boxes.get(label, ())
        if boxes is None or self.size is None:
            return None
        found = tuple(one for box in boxes if (one := clip_box(box, self.size)) is not None)
        return found if found or not boxes else None


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

    Where the network looks at none, no picture is opened, and all posts are as without one.

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
        image = pictures.of(sample) if config.looks else None
        size = None if image is None else image.size
        boxes = _gold_boxes(gold, config.level)
        if sample.id in weak:
            # What the run found nothing of may be in the picture all the same.
            boxes = {label: weak[sample.id].get(label) for label in boxes}
        post = QueryPost(sample, gold, size, boxes)
        posts.append(post)
        for label, known in boxes.items() if size else ():
            outside += len(known or ()) - len(post.inside(label) or ())
    remarks = list(pictures.remarks("teach text alone"))
    if outside:
        remarks.append(f"{source.name}: {outside} boxes lie outside of their pictures: left out")
    return QueryPosts(source, tuple(posts), tuple(remarks))


def _gold_boxes(gold: Gold, level: str) -> LabelBoxes:
    """The annotated boxes of each type that a post has an entity of."""
    found: dict[str, tuple[Box, ...] | None] = {}
    for entity in gold.entities:
        label = label_of(entity, level)
        before = found.get(label, ())
        unknown = before is None or entity.boxes is None
        found[label] = None if unknown else (*(before or ()), *(entity.boxes or ()))
    return found


def read_weak_boxes(
    folders: Sequence[Path], level: str, *splits: AnnotatedSplit
) -> dict[str, LabelBoxes]:
    """The regions that runs have found for the entities of each type, by the post's id.

    Args:
        folders: Of the runs.
        level: On which the types are.
        splits: The posts that are asked for.

    Raises:
        UserError: If a folder holds no finished run, a run has grounded nothing or is about none of
            the posts, two runs are about one post, or one has another text of a post.
    """
    texts: dict[str, set[str]] = {}
    for split in splits:
        for post, _ in split.pairs:
            texts.setdefault(post.id, set()).add(post.text)
    names = " or ".join(split.name for split in splits)
    found: dict[str, LabelBoxes] = {}
    for folder in folders:
        own: dict[str, LabelBoxes] = {}
        for sample in read_records(folder):
            if sample.text not in texts.get(sample.id, {sample.text}):
                raise UserError(
                    f"weak_boxes: {folder}: its {quoted(sample.id)} has another text than that of "
                    f"{names}; is it a run over this data?"
                )
            if sample.id in found:
                raise UserError(
                    f"weak_boxes: {folder} is about {quoted(sample.id)}, as another run before it"
                )
            if boxes := _found_boxes(sample, level):
                own[sample.id] = boxes
        if not any(any(boxes.values()) for boxes in own.values()):
            raise UserError(f"weak_boxes: {folder}: its run has no region that could be learnt")
        if not texts.keys() & own.keys():
            raise UserError(f"weak_boxes: {folder}: its run is about no post of {names}")
        found |= own
    return found


def _found_boxes(sample: Sample, level: str) -> LabelBoxes:
    """The regions of each type that a run has found in a post, guesses left out."""
    boxes: dict[str, tuple[Box, ...] | None] = {}
    for entity in sample.entities or ():
        label = entity.label if level == "coarse" else str(entity.fine_label)
        before = boxes.get(label, ())
        unknown = before is None or entity.regions is None
        own = tuple(region.box for region in entity.regions or () if not region.guess)
        boxes[label] = None if unknown else (*(before or ()), *own)
    return boxes


def right_boxes(post: QueryPost, level: str) -> LabelBoxes:
    """The boxes that regions are measured by: gold ones, where there are none the weak ones."""
    return {
        label: post.boxes.get(label) if boxes is None else boxes
        for label, boxes in _gold_boxes(post.gold, level).items()
    }


def unasked(config: MnerQgTrainingSettings, train: QueryPosts) -> tuple[str, ...]:
    """The types with a query of which the posts have no entity."""
    there = {
        label_of(entity, config.level) for post in train.posts for entity in post.gold.entities
    }
    return tuple(label for label in config.queries if label not in there)


def require_known_boxes(dev: QueryPosts, level: str) -> None:
    """Makes sure that regions can be measured.

    Raises:
        UserError: If nobody knows of any entity of dev where it is.
    """
    known = [boxes for post in dev.posts for boxes in right_boxes(post, level).values()]
    if known and all(boxes is None for boxes in known):
        raise UserError(
            f"{dev.source.name}: has no boxes to choose an epoch and thresholds by; name a run "
            "over it in weak_boxes, too, or set weights.anchor=0"
        )


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
