"""Masks of regions by a network that looks at an image once and then answers any number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import Field

from riveg.errors import ImageFault
from riveg.geometry.masks import box_pixels, mask_from_array
from riveg.protocols import ImageSource, Mention, Partly
from riveg.types import WARNING, Box, ImageRef, Issue, Mask
from riveg.vision.queries import Cut, TextReader
from riveg.vision.runtime.batches import in_batches
from riveg.vision.runtime.image_queue import ImageQueue
from riveg.vision.runtime.image_worker import Prepared
from riveg.vision.runtime.loading import load_model, place
from riveg.vision.runtime.options import TorchOptions

if TYPE_CHECKING:
    from riveg.geometry.arrays import Bitmap, Pixels


Answer = tuple[Mask, ...] | Partly[tuple[Mask, ...]] | Issue


class PromptOptions(TorchOptions):
    """``batch_size``: images encoded together. ``boxes_at_once``: boxes decoded together."""

    immaterial: ClassVar[frozenset[str]] = TorchOptions.immaterial | {"boxes_at_once"}

    boxes_at_once: int = Field(default=32, ge=1)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A region's box, and its text where the network is asked about texts."""

    box: Box
    text: str = ""


class MaskNetwork(Protocol):
    """Looks at images, which is costly, and then finds what prompts mean, which is cheap."""

    @property
    def prepare(self) -> Callable[[Pixels], Any]:
        """Makes of an upright image what is looked at; ``pickle`` can send it to a worker."""

    def look_at(self, images: Sequence[Prepared[Any]]) -> Sequence[Any]:
        """What the network keeps of each image."""

    def cut_out(self, seen: Any, prompts: Sequence[Prompt]) -> Iterable[Bitmap]:
        """Each prompt's pixels, one after the other, *shape* ``(height, width)`` of the image."""


class PromptedSegmenter:
    """Cuts regions out of their images.

    Every image is looked at once, however many mentions and regions it has, and not at all
    without a region. A mask without any pixel becomes its box, and its source says so: the region
    is there, only its outline is not known.

    What is done together does not change an answer, but for rounding: logits move by some 1e-5 of
    the largest, and so a pixel on a mask's very edge may fall on the other side.

    Args:
        images: Where images come from.
        network: What finds the masks.
        source: Name of the masks' maker; ``{source}:box`` where it found no pixel.
        batch_size: Images encoded together.
        boxes_at_once: Boxes of an image decoded together.
        workers: Processes that prepare images.
        reader: The texts of entities, for a network that is asked about texts. Where it then finds
            no pixel, an Issue says so too.
    """

    def __init__(
        self,
        images: ImageSource,
        network: MaskNetwork,
        *,
        source: str,
        batch_size: int = 8,
        boxes_at_once: int = 32,
        workers: int = 0,
        reader: TextReader | None = None,
    ) -> None:
        self.images = ImageQueue(images, network.prepare, workers=workers)
        self._network = network
        self._source = source
        self._batch_size = batch_size
        self._boxes_at_once = boxes_at_once
        self._reader = reader

    def segment(self, mentions: Sequence[Mention]) -> Sequence[Answer]:
        """A mask for each region of each mention, of the whole image's size, in their order."""
        answers: list[Answer] = [() for _ in mentions]
        asked: dict[ImageRef, list[int]] = {}
        for number, mention in enumerate(mentions):
            if not mention.entity.regions:
                continue
            if mention.sample.image is None:
                answers[number] = _issue(mention, "no-picture", "the post has no picture to cut")
                continue
            asked.setdefault(ImageRef(mention.sample.image.path), []).append(number)
        looks = in_batches(list(asked), self._batch_size, self._look)
        for numbers, seen in zip(asked.values(), looks, strict=True):
            group = [mentions[number] for number in numbers]
            for number, answer in zip(numbers, self._answers(group, seen), strict=True):
                answers[number] = answer
        return answers

    def _look(self, batch: Sequence[ImageRef]) -> Sequence[Any]:
        """What the network keeps of each image, or the fault that keeps it from being opened."""
        found = self.images.distinct(batch)
        opened = [found[image.path] for image in batch]
        images = [one for one in opened if not isinstance(one, ImageFault)]
        seen = iter(self._network.look_at(images) if images else ())
        return [one if isinstance(one, ImageFault) else next(seen) for one in opened]

    def _answers(self, mentions: Sequence[Mention], seen: Any) -> Iterator[Answer]:
        """Of mentions that share an image."""
        if isinstance(seen, ImageFault):
            yield from (_issue(mention, seen.kind, str(seen)) for mention in mentions)
            return
        cuts: Sequence[Cut] = [Cut("", False)] * len(mentions)
        if self._reader is not None:
            cuts = self._reader.read([mention.entity for mention in mentions])
        prompts = [
            Prompt(region.box, cut.text)
            for mention, cut in zip(mentions, cuts, strict=True)
            for region in mention.entity.regions or ()
        ]
        found = in_batches(prompts, self._boxes_at_once, partial(self._cut, seen))
        for mention, cut in zip(mentions, cuts, strict=True):
            masks = tuple(next(found) for _ in mention.entity.regions or ())
            issues = self._issues(mention, cut, masks)
            yield Partly(masks, issues) if issues else masks

    def _cut(self, seen: Any, prompts: Sequence[Prompt]) -> Sequence[Mask]:
        # Encoded one by one: a mask of a large image is small only as run lengths.
        found = self._network.cut_out(seen, prompts)
        return [
            self._mask(pixels, prompt.box) for pixels, prompt in zip(found, prompts, strict=True)
        ]

    def _mask(self, pixels: Bitmap, box: Box) -> Mask:
        if pixels.any():
            return mask_from_array(pixels, self._source)
        return mask_from_array(box_pixels(box, *pixels.shape), f"{self._source}:box")

    def _issues(self, mention: Mention, cut: Cut, masks: Sequence[Mask]) -> tuple[Issue, ...]:
        if self._reader is None:
            return ()
        issues = self._reader.warnings("segment", mention.entity, cut)
        missing = sum(mask.source != self._source for mask in masks)
        if not missing:
            return issues
        message = (
            f"nothing that was found for {cut.text!r} lies on {missing} of {len(masks)} regions; "
            "there the box stands for the mask"
        )
        return (*issues, _issue(mention, WARNING, message))


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


def load_mask_network(
    kind: Any, folder: Path, options: TorchOptions, encoder: str = "vision_encoder"
) -> Any:
    """A SAM-like network whose image encoder alone runs in the options' number type.

    Prompts and mask decoder stay in float32: in bfloat16 a corner's coordinate would keep eight
    bits, four pixels of 1024, and their share of the work is small. ``compile`` concerns the
    encoder too: the decoder is asked about another number of boxes each time.

    Args:
        kind: The network's class, with a ``vision_encoder``.
        folder: Its files.
        options: Device, number type, attention, compilation.
        encoder: The part whose number type it is.

    Raises:
        UserError: If the files are no such model, or hold no safetensors.
    """
    plain = options.model_copy(update={"dtype": "float32"})
    network = load_model(kind, folder, plain, ("vision_encoder",))
    network.get_submodule(encoder).to(place(options.device, options.dtype).dtype)
    return network
