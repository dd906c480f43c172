"""Masks of regions by a network that encodes an image once and then decodes any number of masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import Field

from riveg.config.backend import BuildContext
from riveg.errors import NO_IMAGE, ImageFault
from riveg.geometry.masks import box_pixels, mask_from_array
from riveg.protocols import AnswerOrIssue, ImageSource, Mention, PartialAnswer
from riveg.reads import Reads, reads
from riveg.types import WARNING, Box, ImageRef, ImageSize, Issue, Mask
from riveg.vision.queries import CutText, TextReader
from riveg.vision.runtime.batches import in_batches
from riveg.vision.runtime.image_queue import PreparedImageQueue
from riveg.vision.runtime.image_worker import PreparedImage
from riveg.vision.runtime.loading import load_model, place, worker_count
from riveg.vision.runtime.options import TorchOptions

if TYPE_CHECKING:
    from riveg.geometry.arrays import Bitmap, Pixels


@dataclass(frozen=True, slots=True)
class BoxPrompt:
    """A region's box, and the entity's text for a network that is prompted with texts."""

    box: Box
    text: str = ""


class MaskNetwork(Protocol):
    """Encodes images, which is costly, and then decodes masks, which is cheap."""

    @property
    def prepare(self) -> Callable[[Pixels], Any]:
        """Makes the network's input of an upright image; ``pickle`` can send it to a worker.

        *Shape:* the image ``(height, width, 3)``; the result is the network's own.
        """

    def encode_images(self, images: Sequence[PreparedImage[Any]]) -> Sequence[Any]:
        """What the network keeps of each image, in order."""

    def decode_masks(self, image: Any, prompts: Sequence[BoxPrompt]) -> Iterable[Bitmap]:
        """The mask of each prompt, in order; one without any pixel where nothing was found.

        *Shape:* each mask ``(height, width)`` of the upright image.

        Args:
            image: One of the values of :meth:`encode_images`.
            prompts: Boxes in pixels of the upright image.
        """


class PromptOptions(TorchOptions):
    """``batch_size``: images encoded together. ``boxes_at_once``: boxes decoded together."""

    immaterial: ClassVar[frozenset[str]] = TorchOptions.immaterial | {"boxes_at_once"}

    boxes_at_once: int = Field(default=32, ge=1)

    def reads(self) -> Reads:
        return reads("image", entity="regions")

    def segmenter(
        self,
        network: MaskNetwork,
        context: BuildContext,
        *,
        source: str,
        reader: TextReader | None = None,
    ) -> PromptedSegmenter:
        """The live backend on a network that is loaded."""
        return PromptedSegmenter(
            context.images,
            network,
            source=source,
            batch_size=self.batch_size,
            boxes_at_once=self.boxes_at_once,
            workers=worker_count(self),
            reader=reader,
        )


class PromptedSegmenter:
    """Asks a network for the masks of regions.

    Every image is encoded once, however many mentions and regions it has; an image without a
    region is not encoded. A mask without any pixel becomes its box, and its source says so: the
    region is there, only its outline is not known.

    Batches do not change an answer except by rounding: logits differ by some 1e-5 of the largest,
    so that a pixel on the edge of a mask may change sides.

    Args:
        images: Where images come from.
        network: What finds the masks.
        source: Source of the masks; ``{source}:box`` where the network found no pixel.
        batch_size: Images encoded together.
        boxes_at_once: Boxes of an image decoded together.
        workers: Processes that prepare images.
        reader: The texts of entities, for a network that is prompted with texts. Where such a
            network finds no pixel, the answer has an Issue, too.
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
        self.image_queue = PreparedImageQueue(images, network.prepare, workers=workers)
        self._network = network
        self._source = source
        self._batch_size = batch_size
        self._boxes_at_once = boxes_at_once
        self._reader = reader

    def segment(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[tuple[Mask, ...]]]:
        """A mask for each region of each mention, of the whole image's size, in their order."""
        answers: list[AnswerOrIssue[tuple[Mask, ...]]] = [() for _ in mentions]
        numbers_by_image: dict[ImageRef, list[int]] = {}
        for number, mention in enumerate(mentions):
            if not mention.entity.regions:
                continue
            if mention.sample.image is None:
                answers[number] = _issue(mention, NO_IMAGE, "the post has no picture to cut")
                continue
            numbers_by_image.setdefault(ImageRef(mention.sample.image.path), []).append(number)
        encoded = in_batches(list(numbers_by_image), self._batch_size, self._encode)
        for numbers, image in zip(numbers_by_image.values(), encoded, strict=True):
            group = [mentions[number] for number in numbers]
            for number, answer in zip(numbers, self._answers(group, image), strict=True):
                answers[number] = answer
        return answers

    def _encode(self, batch: Sequence[ImageRef]) -> Sequence[Any]:
        """What the network keeps of each image, or why the image cannot be used."""
        taken = self.image_queue.take_distinct(batch)
        prepared = [taken[image.path] for image in batch]
        usable = [image for image in prepared if not isinstance(image, ImageFault)]
        encoded = iter(self._network.encode_images(usable) if usable else ())
        return [image if isinstance(image, ImageFault) else next(encoded) for image in prepared]

    def _answers(
        self, mentions: Sequence[Mention], image: Any
    ) -> Iterator[AnswerOrIssue[tuple[Mask, ...]]]:
        """The answers about mentions of one image, which is encoded or an :class:`ImageFault`."""
        if isinstance(image, ImageFault):
            yield from (_issue(mention, image.kind, str(image)) for mention in mentions)
            return
        texts: Sequence[CutText] = [CutText("", False)] * len(mentions)
        if self._reader is not None:
            texts = self._reader.read([mention.entity for mention in mentions])
        prompts = [
            BoxPrompt(region.box, text.text)
            for mention, text in zip(mentions, texts, strict=True)
            for region in mention.entity.regions or ()
        ]
        decoded = in_batches(prompts, self._boxes_at_once, partial(self._decode, image))
        for mention, text in zip(mentions, texts, strict=True):
            masks = tuple(next(decoded) for _ in mention.entity.regions or ())
            issues = self._issues(mention, text, masks)
            yield PartialAnswer(masks, issues) if issues else masks

    def _decode(self, image: Any, prompts: Sequence[BoxPrompt]) -> Sequence[Mask]:
        # Encoded as run lengths one by one: the bitmap of a large image is large.
        bitmaps = self._network.decode_masks(image, prompts)
        return [
            self._mask(bitmap, prompt.box) for bitmap, prompt in zip(bitmaps, prompts, strict=True)
        ]

    def _mask(self, bitmap: Bitmap, box: Box) -> Mask:
        if bitmap.any():
            return mask_from_array(bitmap, self._source)
        covered = box_pixels(box, ImageSize(*bitmap.shape[::-1]))
        return mask_from_array(covered, f"{self._source}:box")

    def _issues(self, mention: Mention, text: CutText, masks: Sequence[Mask]) -> tuple[Issue, ...]:
        if self._reader is None:
            return ()
        issues = self._reader.warnings("segment", mention.entity, text)
        missing = sum(mask.source != self._source for mask in masks)
        if not missing:
            return issues
        message = (
            f"nothing that was found for {text.text!r} lies on {missing} of {len(masks)} regions; "
            "there the box stands for the mask"
        )
        return (*issues, _issue(mention, WARNING, message))


def shrunk_size(size: ImageSize, longest: int) -> ImageSize:
    """The size after a resize to a longest side in pixels, rounded as SAM's code rounds.

    No side becomes 0, as a side of less than half a pixel would in that code.

    >>> shrunk_size(ImageSize(1366, 768), 1024)
    ImageSize(width=1024, height=576)
    >>> shrunk_size(ImageSize(5000, 2), 1024)
    ImageSize(width=1024, height=1)
    """
    return ImageSize(*(max(1, int(side * (longest / max(size)) + 0.5)) for side in size))


def _issue(mention: Mention, kind: str, message: str) -> Issue:
    return Issue("segment", mention.entity.id, kind, message)


def load_mask_network(
    kind: Any, folder: Path, options: TorchOptions, encoder: str = "vision_encoder"
) -> Any:
    """A network like SAM's, of which only the image encoder runs in the options' number type.

    Prompts and mask decoder stay in float32: in bfloat16 a corner's coordinate would keep eight
    bits, four pixels of 1024, and they are a small share of the work. ``compile`` also concerns
    the encoder alone: the decoder gets another number of boxes each time.

    Args:
        kind: The network's class, with a ``vision_encoder``.
        folder: Its files.
        options: Device, number type, attention, compilation.
        encoder: The submodule that runs in the options' number type.

    Raises:
        UserError: If the files are no such model, or hold no safetensors.
    """
    plain = options.model_copy(update={"dtype": "float32"})
    network = load_model(kind, folder, plain, ("vision_encoder",))
    network.get_submodule(encoder).to(place(options.device, options.dtype).dtype)
    return network
