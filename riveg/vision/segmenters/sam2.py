"""Segment Anything 2 (Ravi et al. 2024, arXiv:2408.00714), and SAM 3 where it is asked likewise.

The networks are transformers' ``Sam2Model`` and ``Sam3TrackerModel``. Masks are those of the
library's processors, one for each box (``multimask_output=False``): the logits are resized to the
image (bilinear) and cut at 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from riveg.geometry.heat_maps import Point
from riveg.types import Box, ImageSize
from riveg.vision.runtime.image_worker import PreparedImage
from riveg.vision.runtime.options import TorchOptions
from riveg.vision.runtime.square_images import Preparation, read_preparation
from riveg.vision.segmenters.best_masks import best_logits
from riveg.vision.segmenters.encoded_image import box_edges
from riveg.vision.segmenters.prompted import BoxPrompt, load_mask_network

if TYPE_CHECKING:
    from riveg.geometry.arrays import Bitmap


def load_sam2(folder: Path, options: TorchOptions) -> Sam2Network:
    """The network of a folder.

    Raises:
        UserError: If the folder holds no such model.
    """
    from transformers import Sam2Model

    preparation = read_preparation(folder)
    network = load_mask_network(Sam2Model, folder, options)
    network.vision_encoder.register_forward_hook(_to_float32)
    return Sam2Network(network, preparation)


def _to_float32(_encoder: Any, _inputs: Any, output: Any) -> Any:
    """A hook on the encoder: what follows it computes in float32."""
    output.fpn_hidden_states = tuple(level.float() for level in output.fpn_hidden_states)
    return output


@dataclass(frozen=True, slots=True)
class FeaturePyramid:
    """An image's feature maps, finest first, and its size upright.

    ``maps``: each of *shape* ``(1, channels, rows, columns)``.
    """

    maps: list[torch.Tensor]
    size: ImageSize


class Sam2Network:
    """Encodes images and decodes the masks of boxes.

    Args:
        network: A ``Sam2Model`` or ``Sam3TrackerModel`` in evaluation mode; its parts behind the
            encoder compute in float32.
        preparation: How its images are prepared.
    """

    def __init__(self, network: Any, preparation: Preparation) -> None:
        self.prepare = preparation.prepare
        self._network = network
        self._preparation = preparation

    def encode_images(
        self, images: Sequence[PreparedImage[torch.Tensor]]
    ) -> Sequence[FeaturePyramid]:
        """The feature maps of each image.

        *Shape:* each input ``(1, 3, height, width)`` of the network's square.
        """
        pixels = torch.cat([image.value for image in images])
        encoder = next(self._network.vision_encoder.parameters())
        with torch.inference_mode():
            levels = self._network.get_image_embeddings(pixels.to(encoder))
        return [
            FeaturePyramid([level[number : number + 1] for level in levels], image.size)
            for number, image in enumerate(images)
        ]

    def decode_masks(self, image: FeaturePyramid, prompts: Sequence[BoxPrompt]) -> Iterator[Bitmap]:
        """The mask of each prompt's box.

        *Shape:* each ``(height, width)`` of the upright image.
        """
        for logits in self._logits(image, [prompt.box for prompt in prompts]):
            with torch.inference_mode():
                yield (resize_map(logits, image.size) > 0.0).cpu().numpy()

    def decode_best_masks(self, image: FeaturePyramid, points: Sequence[Point]) -> Iterator[Bitmap]:
        """Of the three masks of each point, the one that the network says is best.

        *Shape:* each ``(height, width)`` of the upright image.
        """
        places = self._scaled(torch.tensor(points, dtype=torch.float32), image)
        with torch.inference_mode():
            answer = self._network(
                image_embeddings=image.maps,
                input_points=places[None, :, None],
                input_labels=torch.ones((1, len(points), 1), dtype=torch.int, device=places.device),
            )
            for logits in best_logits(answer):
                yield (resize_map(logits, image.size) > 0.0).cpu().numpy()

    def _logits(self, image: FeaturePyramid, boxes: Sequence[Box]) -> torch.Tensor:
        """*Shape* ``(boxes, 1, side, side)``, of the square that the network saw."""
        corners = self._scaled(torch.from_numpy(box_edges(boxes)).float(), image)
        with torch.inference_mode():
            logits: torch.Tensor = self._network(
                image_embeddings=image.maps, input_boxes=corners[None], multimask_output=False
            ).pred_masks[0]
        return logits

    def _scaled(self, edges: torch.Tensor, image: FeaturePyramid) -> torch.Tensor:
        """Boxes or points in the square's pixels, where the image is; *shape* stays."""
        edges[:, 0::2] *= self._preparation.width / image.size.width
        edges[:, 1::2] *= self._preparation.height / image.size.height
        return edges.to(image.maps[0].device)


def resize_map(values: torch.Tensor, size: ImageSize) -> torch.Tensor:
    """A map in the image's size, interpolated bilinearly.

    *Shape:* ``(1, rows, columns)`` to ``(height, width)``.
    """
    return functional.interpolate(
        values[None], (size.height, size.width), mode="bilinear", align_corners=False
    )[0, 0]
