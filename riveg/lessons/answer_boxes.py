"""Gold boxes as the answers of a training state them: in the model's frame, moved at random."""

from __future__ import annotations

from dataclasses import dataclass

from riveg.geometry.frames import Resize
from riveg.geometry.jitter import Jitter, visit_chance
from riveg.stages.stated_boxes import StatedBoxes, WrittenBoxes
from riveg.types import Box, ImageSize


@dataclass(frozen=True, slots=True)
class SeenBox:
    """A gold box, and where a visit puts it, in pixels of the image as the model sees it.

    Args:
        gold: As annotated.
        moved: Where it is put; ``None``: no draw was near enough, and it stays.
    """

    gold: Box
    moved: Box | None


@dataclass(frozen=True, slots=True)
class BoxPlaces:
    """The gold boxes of one sample, in the order in which its answers state them.

    Args:
        sample_id: The sample.
        boxes: In pixels of the upright image, within it.
        image: Its size.
    """

    sample_id: str
    boxes: tuple[Box, ...]
    image: ImageSize


@dataclass(frozen=True, slots=True)
class AnswerBoxes:
    """How boxes are moved, and then stated.

    Args:
        stated: The stage's frame, and how large images are sent.
        resize: What the model's processor does to images as they are sent.
        jitter: How boxes are moved; ``None``: not at all.
    """

    stated: StatedBoxes
    resize: Resize
    jitter: Jitter | None

    def seen_size(self, image: ImageSize) -> ImageSize:
        """The size of an image as the model sees it."""
        return self.resize(self.stated.sent(image))

    def seen(self, places: BoxPlaces, visit: str) -> tuple[SeenBox, ...]:
        """Where the jitter of a visit puts the boxes of a sample.

        Args:
            places: The boxes.
            visit: Names the training's seed and the epoch.
        """
        size = self.seen_size(places.image)
        assert self.jitter is not None, "nothing is moved without it"
        found = []
        for number, box in enumerate(places.boxes):
            gold = scaled(box, places.image, size)
            moved = self.jitter(gold, size, visit_chance(visit, places.sample_id, number))
            found.append(SeenBox(gold, moved))
        return tuple(found)

    def written(self, places: BoxPlaces, visit: str | None) -> WrittenBoxes:
        """The numbers that state the boxes of a sample at one visit; ``None``: as annotated."""
        numbers, extent = self.stated.frame.numbers, self.stated.extent(places.image)
        if visit is None or self.jitter is None or not self.jitter.moves:
            return tuple(numbers(box, extent, places.image) for box in places.boxes)
        size = self.seen_size(places.image)
        seen = self.seen(places, visit)
        return tuple(numbers(one.moved or one.gold, extent, size) for one in seen)


def scaled(box: Box, image: ImageSize, other: ImageSize) -> Box:
    """A box of an image in the same image of another size."""
    across, down = other.width / image.width, other.height / image.height
    return Box(box.x_min * across, box.y_min * down, box.x_max * across, box.y_max * down)
