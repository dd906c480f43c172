"""Masks by Segment Anything (Kirillov et al. 2023, arXiv:2304.02643), prompted with the box.

The picture is encoded once, however many regions it has; all its boxes are decoded together. The
masks are those of transformers' ``SamModel`` and ``SamProcessor``, one for each box
(``multimask_output=False``). They are not cut off at the box.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from riveg.models.prompted_masks import load_mask_network, masks_of_mentions, shrunk_size
from riveg.models.torch_loading import load_processor, model_contents, model_folder
from riveg.models.torch_options import TorchOptions
from riveg.protocols import BackendConfig, BuildContext, Mention, PictureSource
from riveg.types import Box, Issue, Mask

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Pixels = NDArray[np.bool_]


class SamConfig(TorchOptions, BackendConfig):
    """``batch_size``: pictures encoded together. ``boxes_at_once``: boxes decoded together."""

    stage: ClassVar[str] = "segment"
    name: ClassVar[str] = "sam"
    summary: ClassVar[str] = "Segment Anything from the box (transformers)"
    extra: ClassVar[str | None] = "models"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors")
    needs_picture: ClassVar[bool] = True

    model: str = Field(default="facebook/sam-vit-huge", min_length=1)
    boxes_at_once: int = Field(default=32, ge=1)

    def build(self, context: BuildContext) -> Sam:
        """The live backend, with its weights loaded.

        Raises:
            UserError: If the model is not there or is none of this kind.
        """
        from transformers import SamImageProcessorPil, SamModel

        folder = model_folder(self, context.base)
        return Sam(
            context.images,
            load_mask_network(SamModel, folder, self),
            load_processor(SamImageProcessorPil, folder),
            batch_size=self.batch_size,
            boxes_at_once=self.boxes_at_once,
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the model's files."""
        return model_contents(self, base)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A picture's embedding; its sides ``(height, width)`` as it is and as the network saw it."""

    embedding: torch.Tensor
    size: tuple[int, int]
    seen_size: tuple[int, int]


class Sam:
    """Cuts regions out of their pictures.

    Args:
        images: Where pictures come from.
        network: A ``SamModel`` in evaluation mode.
        processor: Its ``SamImageProcessorPil``.
        batch_size: Pictures encoded together.
        boxes_at_once: Boxes of a picture decoded together.
    """

    def __init__(
        self,
        images: PictureSource,
        network: Any,
        processor: Any,
        *,
        batch_size: int = 8,
        boxes_at_once: int = 32,
    ) -> None:
        self._images = images
        self._network = network
        self._processor = processor
        self._batch_size = batch_size
        self._boxes_at_once = boxes_at_once

    def segment(self, mentions: Sequence[Mention]) -> Sequence[tuple[Mask, ...] | Issue]:
        """A mask for each region, of the whole picture's size.

        Its source is ``sam``, or ``sam:box`` where the network found no pixel and the box stands.
        """
        return masks_of_mentions(
            self,
            self._images,
            mentions,
            source="sam",
            batch_size=self._batch_size,
            boxes_at_once=self._boxes_at_once,
        )

    def look_at(self, pictures: Sequence[Picture]) -> Sequence[_Seen]:
        """The embedding of each upright picture."""
        import torch

        inputs = [self._prepared(picture) for picture in pictures]
        pixels = torch.cat([one["pixel_values"] for one in inputs])
        encoder = next(self._network.vision_encoder.parameters())
        with torch.inference_mode():
            embeddings = self._network.get_image_embeddings(pixels.to(encoder))
            embeddings = embeddings.float()
        return [
            _Seen(
                embedding[None], picture.shape[:2], tuple(one["reshaped_input_sizes"][0].tolist())
            )
            for embedding, picture, one in zip(embeddings, pictures, inputs, strict=True)
        ]

    def _prepared(self, picture: Picture) -> Any:
        """What the processor makes of a picture.

        It is shrunk here: where a side shrinks below half a pixel, the processor refuses. Given as
        Pillow's, three rows of pixels are never taken for the colours.
        """
        from PIL import Image

        height, width = shrunk_size(picture.shape[:2], self._processor.size["longest_edge"])
        shrunk = Image.fromarray(picture).resize((width, height), self._processor.resample)
        return self._processor(shrunk, do_resize=False, return_tensors="pt")

    def cut_out(self, seen: _Seen, boxes: Sequence[Box]) -> Iterator[Pixels]:
        """The pixels of each box."""
        for logits in self._logits(seen, boxes):
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

    def _pixels(self, seen: _Seen, logits: torch.Tensor) -> Pixels:
        import torch

        with torch.inference_mode():
            (mask,) = self._processor.post_process_masks(
                [logits[None]], [seen.size], [seen.seen_size]
            )
        pixels: Pixels = mask[0, 0].cpu().numpy()
        return pixels


def _scaled(boxes: Sequence[Box], seen: _Seen) -> torch.Tensor:
    """Boxes in the pixels that the network saw, *shape* ``(boxes, 4)``, rounded as the library."""
    import numpy as np
    import torch

    edges = [(box.x_min, box.y_min, box.x_max, box.y_max) for box in boxes]
    (height, width), (seen_height, seen_width) = seen.size, seen.seen_size
    scale = [seen_width / width, seen_height / height] * 2
    corners = torch.from_numpy(np.array(edges, dtype=np.float32).astype(float) * scale)
    return corners.float() if seen.embedding.device.type == "mps" else corners  # has no float64
