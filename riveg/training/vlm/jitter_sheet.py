"""What the jitter of a training does to its boxes: in numbers, and drawn on images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from statistics import fmean

from riveg.datasets.dataset import Row, usable_gold
from riveg.datasets.opening import open_dataset
from riveg.errors import ImageFault, UserError
from riveg.files import make_folder, numbered_name, write_atomically
from riveg.geometry.boxes import box_iou, clip_box
from riveg.geometry.frames import FRAMES
from riveg.images.loader import ImageLoader
from riveg.images.overlay import draw_overlay
from riveg.lessons.answer_boxes import AnswerBoxes, BoxPlaces, SeenBox, scaled
from riveg.stages.extractors.chat import ChatExtractorConfig
from riveg.stages.grounders.chat import ChatGrounderConfig
from riveg.stages.stated_boxes import StatedBoxes
from riveg.training.vlm.settings import VlmSettings, stage_block
from riveg.types import Box, Entity, Gold, GoldEntity, ImageRef, ImageSize, Region, Sample

_COLOURS = {"gold": "#009E73", "moved": "#D55E00"}


@dataclass(frozen=True, slots=True)
class JitterSheet:
    """What one visit of every post of train does.

    Args:
        posts: Posts with boxes.
        boxes: Their boxes.
        mean_iou: Of the boxes with where they are put; one that stays counts as 1.
        least_iou: The least of these.
        rejected: Share of the boxes that no draw was near enough for, in [0, 1].
        small: Share of the boxes that are moved less because they are small, in [0, 1].
        without_size: Posts left out because nobody knows the size of their image.
        outside: Boxes left out because they lie outside of their image.
        drawn: The images, as PNG files.
    """

    posts: int
    boxes: int
    mean_iou: float
    least_iou: float
    rejected: float
    small: float
    without_size: int
    outside: int
    drawn: tuple[Path, ...]

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        yield f"{self.boxes} boxes of {self.posts} posts at one visit, as the model sees them"
        yield (
            f"mean IoU with the gold box {self.mean_iou:.3f}, least {self.least_iou:.3f}; "
            f"rejected {self.rejected:.1%}; small boxes, moved less, {self.small:.1%}"
        )
        if self.without_size:
            yield f"{self.without_size} posts left out: their pictures are missing, sizes unknown"
        if self.outside:
            yield f"{self.outside} boxes left out: they lie outside of their pictures"
        if self.drawn:
            yield f"{len(self.drawn)} pictures in {self.drawn[0].parent}"


def jitter_sheet(config: VlmSettings, number: int) -> JitterSheet:
    """Moves all boxes of train once, and draws so many posts into ``OUT.jitter``.

    No model is needed. Where images are missing, sizes that the annotation declares do.

    Raises:
        UserError: If nothing is moved, or there are no boxes.
    """
    if config.jitter is None or not config.jitter.moves:
        raise UserError("jitter: moves nothing; say beta and gamma, or take a preset")
    block = stage_block(config)
    assert isinstance(block, ChatExtractorConfig | ChatGrounderConfig), "others have no jitter"
    boxes = AnswerBoxes(
        StatedBoxes(FRAMES[block.frame], block.resize, config.picture_side),
        block.resize,
        config.jitter,
    )
    dataset = open_dataset(config.data, split=config.train_split)
    images = ImageLoader(dataset.image_roots)
    folder = config.out.with_name(f"{config.out.name}.jitter")
    drawn: list[Path] = []
    moved: list[SeenBox] = []
    posts = without_size = outside = 0
    for row in dataset.unique_rows(annotated=True):
        gold = usable_gold(row)
        if gold is None or not any(entity.boxes for entity in gold.entities):
            continue
        size = _size(row, images)
        if size is None:
            without_size += 1
            continue
        annotated = _gold_boxes(gold, size)
        outside += sum(len(entity.boxes or ()) for entity in gold.entities) - len(annotated)
        if not annotated:
            continue
        places = BoxPlaces(row.sample.id, tuple(box for _, box in annotated), size)
        seen = boxes.seen(places, f"{config.loop.seed}/0")
        posts += 1
        moved += seen
        entities = [entity for entity, _ in annotated]
        shown = boxes.seen_size(size)
        if len(drawn) < number and (made := _drawn(row.sample, entities, seen, shown, images)):
            make_folder(folder)
            drawn.append(folder / numbered_name(len(drawn), row.sample.id, ".png"))
            write_atomically(drawn[-1], [made])
    if not moved:
        raise UserError(f"{config.data} {config.train_split}: has no boxes whose places are known")
    ious = [1.0 if one.moved is None else box_iou(one.moved, one.gold) for one in moved]
    return JitterSheet(
        posts=posts,
        boxes=len(moved),
        mean_iou=fmean(ious),
        least_iou=min(ious),
        rejected=sum(one.moved is None for one in moved) / len(moved),
        small=sum(one.gold.area < config.jitter.min_area for one in moved) / len(moved),
        without_size=without_size,
        outside=outside,
        drawn=tuple(drawn),
    )


def _size(row: Row, images: ImageLoader) -> ImageSize | None:
    """Of the image; where that is missing, what the annotation declares."""
    if row.size is not None or row.sample.image is None:
        return row.size
    try:
        return images.probe(row.sample.image).size
    except ImageFault:
        return None


def _gold_boxes(gold: Gold, size: ImageSize) -> tuple[tuple[GoldEntity, Box], ...]:
    """The boxes of a post within its image, each with its entity, in the order of an answer."""
    found = (
        (entity, clip_box(box, size))
        for entity in sorted(gold.entities, key=lambda one: (one.span.start, one.span.end))
        for box in entity.boxes or ()
    )
    return tuple((entity, box) for entity, box in found if box is not None)


def _drawn(
    sample: Sample,
    annotated: Sequence[GoldEntity],
    seen: Sequence[SeenBox],
    shown: ImageSize,
    images: ImageLoader,
) -> bytes | None:
    """A post with its gold boxes and where they are put, as PNG; ``None``: its image is missing."""
    assert sample.image is not None
    try:
        pixels = images.load(sample.image)
    except ImageFault:
        return None
    size = ImageSize(pixels.shape[1], pixels.shape[0])
    entities = tuple(
        Entity(f"{name}{number}", entity.text, name, entity.span, regions=(Region(box),))
        for number, (entity, one) in enumerate(zip(annotated, seen, strict=True))
        for name, box in _in_image(one, shown, size)
    )
    image = ImageRef(sample.image.path, size.width, size.height)
    drawing = draw_overlay(pixels, replace(sample, image=image, entities=entities), _COLOURS)
    buffer = BytesIO()
    drawing.save(buffer, "PNG")
    return buffer.getvalue()


def _in_image(one: SeenBox, seen: ImageSize, image: ImageSize) -> Iterator[tuple[str, Box]]:
    yield "gold", scaled(one.gold, seen, image)
    yield "moved", scaled(one.moved or one.gold, seen, image)
