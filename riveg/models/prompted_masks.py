"""Masks of boxes by a network that looks at a picture once and then answers any number of boxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from riveg.errors import ImageFault
from riveg.formats.masks import box_pixels, mask_from_array
from riveg.models.torch_batches import in_batches
from riveg.models.torch_loading import place
from riveg.models.torch_options import TorchOptions
from riveg.models.torch_parts import load_in_parts
from riveg.protocols import Mention, PictureSource
from riveg.types import Box, ImageRef, Issue, Mask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Pixels = NDArray[np.bool_]


class MaskNetwork(Protocol):
    """Looks at pictures, which is costly, and then finds what boxes hold, which is cheap."""

    def look_at(self, pictures: Sequence[Picture]) -> Sequence[Any]:
        """What the network keeps of each upright picture."""

    def cut_out(self, seen: Any, boxes: Sequence[Box]) -> Iterable[Pixels]:
        """Each box's pixels, one after the other, *shape* ``(height, width)`` of the picture."""


def masks_of_mentions(
    network: MaskNetwork,
    images: PictureSource,
    mentions: Sequence[Mention],
    *,
    source: str,
    batch_size: int,
    boxes_at_once: int,
) -> tuple[tuple[Mask, ...] | Issue, ...]:
    """One mask for each region of each mention, in the regions' order.

    Every picture is looked at once, however many mentions and regions it has, and not at all
    without a region. A mask without any pixel becomes its box, and its source says so: the region
    is there, only its outline is not known.

    What is done together does not change an answer, but for rounding: logits move by some 1e-5 of
    the largest, and so a pixel on a mask's very edge may fall on the other side.

    Args:
        network: What finds the masks.
        images: Where pictures come from.
        mentions: What is asked about.
        source: Name of the masks' maker; ``{source}:box`` where it found no pixel.
        batch_size: At most so many pictures are looked at together.
        boxes_at_once: At most so many boxes of a picture are cut out together.
    """
    answers: list[tuple[Mask, ...] | Issue] = [() for _ in mentions]
    asked: dict[ImageRef, list[int]] = {}
    for number, mention in enumerate(mentions):
        if not mention.entity.regions:
            continue
        if mention.sample.image is None:
            answers[number] = _issue(mention, "no-picture", "the post has no picture to cut")
            continue
        asked.setdefault(ImageRef(mention.sample.image.path), []).append(number)

    def look(batch: Sequence[ImageRef]) -> Sequence[Any]:
        return _look(network, images, batch)

    looks = in_batches(list(asked), batch_size, look)
    for numbers, seen in zip(asked.values(), looks, strict=True):
        if isinstance(seen, ImageFault):
            for number in numbers:
                answers[number] = _issue(mentions[number], seen.kind, str(seen))
            continue
        regions = [mentions[number].entity.regions or () for number in numbers]
        boxes = [region.box for group in regions for region in group]
        found = _cut(network, seen, boxes, source, boxes_at_once)
        for number, group in zip(numbers, regions, strict=True):
            answers[number] = tuple(next(found) for _ in group)
    return tuple(answers)


def _look(network: MaskNetwork, images: PictureSource, batch: Sequence[ImageRef]) -> Sequence[Any]:
    """What the network keeps of each picture, or the fault that keeps it from being opened."""
    opened: list[Picture | ImageFault] = []
    for image in batch:
        try:
            opened.append(images.load(image))
        except ImageFault as fault:
            opened.append(fault)
    pictures = [one for one in opened if not isinstance(one, ImageFault)]
    seen = iter(network.look_at(pictures) if pictures else ())
    return [one if isinstance(one, ImageFault) else next(seen) for one in opened]


def _cut(
    network: MaskNetwork, seen: Any, boxes: Sequence[Box], source: str, boxes_at_once: int
) -> Iterator[Mask]:
    def cut(batch: Sequence[Box]) -> Sequence[Mask]:
        # Encoded one by one: a mask of a large picture is small only as run lengths.
        found = network.cut_out(seen, batch)
        return [_mask(pixels, box, source) for pixels, box in zip(found, batch, strict=True)]

    return in_batches(boxes, boxes_at_once, cut)


def _mask(pixels: Pixels, box: Box, source: str) -> Mask:
    if pixels.any():
        return mask_from_array(pixels, source)
    return mask_from_array(box_pixels(box, *pixels.shape), f"{source}:box")


def shrunk_size(size: tuple[int, ...], longest: int) -> tuple[int, int]:
    """Sides ``(height, width)`` after a resize to the longest edge, rounded as SAM's code rounds.

    No side vanishes: one of less than half a pixel would there.

    >>> shrunk_size((768, 1366), 1024), shrunk_size((2, 5000), 1024)
    ((576, 1024), (1, 1024))
    """
    height, width = (max(1, int(side * (longest / max(size)) + 0.5)) for side in size)
    return height, width


def _issue(mention: Mention, kind: str, message: str) -> Issue:
    return Issue("segment", mention.entity.id, kind, message)


def load_mask_network(kind: Any, folder: Path, options: TorchOptions) -> Any:
    """A SAM-like network whose picture encoder alone runs in the options' number type.

    Prompts and mask decoder stay in float32: in bfloat16 a corner's coordinate would keep eight
    bits, four pixels of 1024, and their share of the work is small. ``compile`` concerns the
    encoder too: the decoder is asked about another number of boxes each time.

    Args:
        kind: The network's class, with a ``vision_encoder``.
        folder: Its files.
        options: Device, number type, attention, compilation.

    Raises:
        UserError: If the files are no such model, or hold no safetensors.
    """
    plain = options.model_copy(update={"dtype": "float32"})
    network = load_in_parts(kind, folder, plain, ("vision_encoder",))
    network.vision_encoder.to(place(options.device, options.dtype).dtype)
    return network
