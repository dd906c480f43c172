"""Segment Anything (Kirillov et al. 2023, arXiv:2304.02643) as transformers' ``SamModel``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from riveg.geometry.heat_maps import Point
from riveg.types import Box, ImageSize
from riveg.vision.runtime.image_worker import PreparedImage
from riveg.vision.runtime.loading import load_processor
from riveg.vision.runtime.options import TorchOptions
from riveg.vision.segmenters.best_masks import best_logits
from riveg.vision.segmenters.encoded_image import EncodedImage
from riveg.vision.segmenters.prompted import BoxPrompt, load_mask_network, shrunk_size

if TYPE_CHECKING:
    from riveg.geometry.arrays import Bitmap, Pixels
    from riveg.vision.runtime.tensors import ImageTensors


def load_sam(folder: Path, options: TorchOptions) -> SamNetwork:
    """The network of a folder.

    Raises:
        UserError: If the folder holds no such model.
    """
    from transformers import SamImageProcessorPil, SamModel

    network = load_mask_network(SamModel, folder, options)
    return SamNetwork(network, load_processor(SamImageProcessorPil, folder))


class SamNetwork:
    """Encodes images and decodes the masks of boxes.

    Args:
        network: A ``SamModel`` in evaluation mode.
        processor: Its ``SamImageProcessorPil``.
    """

    def __init__(self, network: Any, processor: Any) -> None:
        self.prepare = partial(_prepare, processor)
        self._network = network
        self._processor = processor

    def encode_images(
        self, images: Sequence[PreparedImage[ImageTensors]]
    ) -> Sequence[EncodedImage]:
        """The embedding of each image.

        *Shape:* each input ``(1, 3, side, side)``.
        """
        pixels = torch.cat([image.value["pixel_values"] for image in images])
        encoder = next(self._network.vision_encoder.parameters())
        with torch.inference_mode():
            embeddings = self._network.get_image_embeddings(pixels.to(encoder)).float()
        return [
            EncodedImage(embedding[None], image.size, _seen_size(image.value))
            for embedding, image in zip(embeddings, images, strict=True)
        ]

    def decode_masks(self, image: EncodedImage, prompts: Sequence[BoxPrompt]) -> Iterator[Bitmap]:
        """The mask of each prompt's box.

        *Shape:* each ``(height, width)`` of the upright image.
        """
        for logits in self._logits(image, [prompt.box for prompt in prompts]):
            yield self._bitmap(image, logits)

    def decode_best_masks(self, image: EncodedImage, points: Sequence[Point]) -> Iterator[Bitmap]:
        """Of the three masks of each point, the one that the network says is best.

        *Shape:* each ``(height, width)`` of the upright image.
        """
        places = _in_library_precision(image, image.places(points))
        with torch.inference_mode():
            answer = self._network(
                image_embeddings=image.embedding, input_points=places[None, :, None]
            )
        for logits in best_logits(answer):
            yield self._bitmap(image, logits)

    def _logits(self, image: EncodedImage, boxes: Sequence[Box]) -> torch.Tensor:
        """*Shape* ``(boxes, 1, side, side)``, of the square that the network saw."""
        # The library rounds edges to float32 and then computes in float64.
        corners = _in_library_precision(image, image.corners(boxes, np.float32))
        with torch.inference_mode():
            answer = self._network(
                image_embeddings=image.embedding,
                input_boxes=corners[None],
                multimask_output=False,
            )
        logits: torch.Tensor = answer.pred_masks[0]
        return logits

    def _bitmap(self, image: EncodedImage, logits: torch.Tensor) -> Bitmap:
        """*Shape* ``(height, width)`` of the upright image, from ``(1, side, side)``."""
        with torch.inference_mode():
            (mask,) = self._processor.post_process_masks(
                [logits[None]], [image.size[::-1]], [image.seen_size[::-1]]
            )
        bitmap: Bitmap = mask[0, 0].cpu().numpy()
        return bitmap


def _in_library_precision(image: EncodedImage, values: torch.Tensor) -> torch.Tensor:
    """Coordinates where the image is: float64 as the library's own, which mps lacks."""
    device = image.embedding.device
    return (values.float() if device.type == "mps" else values).to(device)


def _prepare(processor: Any, pixels: Pixels) -> ImageTensors:
    """The processor's tensors of an image.

    The image is shrunk here: the processor refuses one whose side shrinks below half a pixel. It is
    given as Pillow's, so that three rows of pixels are never taken for the colours.
    """
    height, width = pixels.shape[:2]
    size = shrunk_size(ImageSize(width, height), processor.size["longest_edge"])
    shrunk = Image.fromarray(pixels).resize(size, processor.resample)
    return dict(processor(shrunk, do_resize=False, return_tensors="pt"))


def _seen_size(tensors: ImageTensors) -> ImageSize:
    height, width = tensors["reshaped_input_sizes"][0].tolist()
    return ImageSize(width, height)
