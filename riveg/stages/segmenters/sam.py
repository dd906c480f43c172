"""Masks by Segment Anything (Kirillov et al. 2023, arXiv:2304.02643), prompted with the box.

The image is encoded once, however many regions it has; all its boxes are decoded together. The
masks are those of transformers' ``SamModel`` and ``SamProcessor``, one for each box
(``multimask_output=False``). They are not cut off at the box. Their source is ``sam``, or
``sam:box`` where the network found no pixel and the box stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from riveg.checkpoints.folders import model_contents
from riveg.config.backend import BackendConfig, BuildContext
from riveg.types import Box
from riveg.vision.runtime.image_worker import Prepared
from riveg.vision.runtime.loading import load_processor, worker_count
from riveg.vision.segmenters.prompted import (
    Prompt,
    PromptedSegmenter,
    PromptOptions,
    load_mask_network,
    shrunk_size,
)

if TYPE_CHECKING:
    import torch

    from riveg.geometry.arrays import Bitmap, Pixels
    from riveg.vision.runtime.tensors import ImageTensors


class SamConfig(PromptOptions, BackendConfig):
    """``batch_size``: images encoded together. ``boxes_at_once``: boxes decoded together."""

    stage: ClassVar[str] = "segment"
    name: ClassVar[str] = "sam"
    summary: ClassVar[str] = "Segment Anything from the box (transformers)"
    extra: ClassVar[str | None] = "models"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors")
    needs_image: ClassVar[bool] = True

    model: str = Field(default="facebook/sam-vit-huge", min_length=1)
    licence: str | None = "apache-2.0"

    def build(self, context: BuildContext) -> PromptedSegmenter:
        """The live backend, with its weights loaded.

        Raises:
            UserError: If the model is not there or is none of this kind.
        """
        from transformers import SamImageProcessorPil, SamModel

        folder = self.folder(context.base)
        network = load_mask_network(SamModel, folder, self)
        return PromptedSegmenter(
            context.images,
            SamNetwork(network, load_processor(SamImageProcessorPil, folder)),
            source=self.name,
            batch_size=self.batch_size,
            boxes_at_once=self.boxes_at_once,
            workers=worker_count(self),
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the model's files."""
        return model_contents(self.folder(base))


@dataclass(frozen=True, slots=True)
class _Seen:
    """An image's embedding; its sides ``(height, width)`` as it is and as the network saw it."""

    embedding: torch.Tensor
    size: tuple[int, int]
    seen_size: tuple[int, int]


class SamNetwork:
    """Encodes images and decodes boxes.

    Args:
        network: A ``SamModel`` in evaluation mode.
        processor: Its ``SamImageProcessorPil``.
    """

    def __init__(self, network: Any, processor: Any) -> None:
        self.prepare = partial(_prepared, processor)
        self._network = network
        self._processor = processor

    def look_at(self, images: Sequence[Prepared[ImageTensors]]) -> Sequence[_Seen]:
        """The embedding of each image."""
        import torch

        pixels = torch.cat([image.value["pixel_values"] for image in images])
        encoder = next(self._network.vision_encoder.parameters())
        with torch.inference_mode():
            embeddings = self._network.get_image_embeddings(pixels.to(encoder))
            embeddings = embeddings.float()
        return [
            _Seen(
                embedding[None],
                image.size,
                tuple(image.value["reshaped_input_sizes"][0].tolist()),
            )
            for embedding, image in zip(embeddings, images, strict=True)
        ]

    def cut_out(self, seen: _Seen, prompts: Sequence[Prompt]) -> Iterator[Bitmap]:
        """The pixels of each box."""
        for logits in self._logits(seen, [prompt.box for prompt in prompts]):
            yield self._pixels(seen, logits)

    def _logits(self, seen: _Seen, boxes: Sequence[Box]) -> torch.Tensor:
        """*Shape* ``(boxes, 1, side, side)``, of the square that the network saw."""
        import torch

        corners = _scaled(boxes, seen).to(seen.embedding.device)
        with torch.inference_mode():
            found: torch.Tensor = self._network(
                image_embeddings=seen.embedding, input_boxes=corners[None], multimask_output=False
            ).pred_masks[0]
        return found

    def _pixels(self, seen: _Seen, logits: torch.Tensor) -> Bitmap:
        import torch

        with torch.inference_mode():
            (mask,) = self._processor.post_process_masks(
                [logits[None]], [seen.size], [seen.seen_size]
            )
        pixels: Bitmap = mask[0, 0].cpu().numpy()
        return pixels


def _prepared(processor: Any, pixels: Pixels) -> ImageTensors:
    """What a processor makes of an image.

    It is shrunk here: where a side shrinks below half a pixel, the processor refuses. Given as
    Pillow's, three rows of pixels are never taken for the colours.
    """
    from PIL import Image

    height, width = shrunk_size(pixels.shape[:2], processor.size["longest_edge"])
    shrunk = Image.fromarray(pixels).resize((width, height), processor.resample)
    return dict(processor(shrunk, do_resize=False, return_tensors="pt"))


def _scaled(boxes: Sequence[Box], seen: _Seen) -> torch.Tensor:
    """Boxes in the pixels that the network saw, *shape* ``(boxes, 4)``, rounded as the library."""
    import numpy as np
    import torch

    edges = [(box.x_min, box.y_min, box.x_max, box.y_max) for box in boxes]
    (height, width), (seen_height, seen_width) = seen.size, seen.seen_size
    scale = [seen_width / width, seen_height / height] * 2
    corners = torch.from_numpy(np.array(edges, dtype=np.float32).astype(float) * scale)
    return corners.float() if seen.embedding.device.type == "mps" else corners  # has no float64
