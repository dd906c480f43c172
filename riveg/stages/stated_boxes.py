"""Boxes that a language model states in its own frame, and what they are in the image's pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from riveg.config.backend import BuildContext
from riveg.errors import UserError
from riveg.geometry.frames import FRAMES, Frame, FrameName, OutsideFrame, Resize
from riveg.llm.images import sent_size
from riveg.types import Box, ImageSize, Region, Sample

OUTSIDE_FRAME = "box-outside-frame"
"""Kind of the Issue for a box that reaches beyond the declared frame."""

BAD_BOX = "bad-box"
"""Kind of the Issue, beside good boxes, for one that is none or has no area."""

PARTIAL = "chat:partial"
"""``source`` of a region from a response that was refused because of other parts of it."""

WrittenBoxes = tuple[tuple[float, ...], ...]
"""Four numbers a box, in the model's own frame and order."""


@dataclass(frozen=True, slots=True)
class StatedBoxes:
    """How a model's numbers are read.

    Args:
        frame: What they mean.
        resize: How the model's processor resizes images.
        picture_side: The longer side of images as sent, in pixels; ``None``: as they are.
        key: The configuration's key of the frame, for messages.
    """

    frame: Frame
    resize: Resize
    picture_side: int | None = None
    key: str = "ground.frame"

    def sent(self, image: ImageSize) -> ImageSize:
        """The size of an image as it is sent."""
        return sent_size(image, self.picture_side or max(image))

    def extent(self, image: ImageSize) -> ImageSize:
        """The numbers at the right and the lower edge of an image as it is sent."""
        return self.frame.extent(self.sent(image), self.resize)

    def coordinates(self, image: ImageSize) -> str:
        """The same in words, for a prompt."""
        extent = self.extent(image)
        kind = "whole numbers" if self.frame.is_whole else "decimal numbers"
        return (
            f"{kind}, x from 0 at the left edge of the picture to {extent.width:g} at the right "
            f"edge, y from 0 at the upper edge to {extent.height:g} at the lower edge"
        )

    def regions(
        self, written: WrittenBoxes, image: ImageSize, source: str
    ) -> tuple[tuple[Region, ...], tuple[str, ...]]:
        """The boxes within the frame, each once, and what is wrong with each of the others."""
        boxes: list[Box] = []
        faults: list[str] = []
        for numbers in written:
            try:
                require_no_shares(numbers, self.frame)
                boxes.append(self.frame.box(numbers, self.extent(image), image))
            except OutsideFrame as error:
                faults.append(f"{error}; does {self.key} fit the model?")
        return tuple(Region(box, source=source) for box in dict.fromkeys(boxes)), tuple(faults)


def stated_boxes(
    frame: FrameName, resize: Resize, *, llm: str, stage: str, context: BuildContext
) -> StatedBoxes:
    """How the numbers of a stage's model are read.

    Raises:
        UserError: If the frame depends on how the model is reached, and that is not known.
    """
    endpoint = context.endpoints.get(llm)
    if endpoint is None and FRAMES[frame].is_sized:
        raise UserError(
            f"{stage}.frame: {frame} depends on picture_side of llm {llm!r}, which is not known; "
            "use norm1000, if the model knows it"
        )
    side = None if endpoint is None else endpoint.picture_side
    return StatedBoxes(FRAMES[frame], resize, side, f"{stage}.frame")


def image_size(sample: Sample) -> ImageSize:
    """The size of the upright image.

    Raises:
        UserError: If nobody has opened it.
    """
    size = None if sample.image is None else sample.image.size
    if size is None:
        raise UserError(f"sample {sample.id}: nobody has opened its picture")
    return size


def require_no_shares(numbers: Sequence[float], frame: Frame) -> None:
    """Checks that a box of a frame of whole numbers is not stated in shares of the sides.

    Raises:
        OutsideFrame: If it is: in the frame it would be smaller than a pixel.
    """
    has_point = any(isinstance(number, float) for number in numbers)
    if frame.is_whole and has_point and all(0 <= number <= 1 for number in numbers):
        shown = ", ".join(f"{number:g}" for number in numbers)
        raise OutsideFrame(f"[{shown}] are shares of the sides, not whole numbers")
