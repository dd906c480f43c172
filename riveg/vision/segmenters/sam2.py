"""Masks by transformers' ``Sam2Model`` and by ``Sam3TrackerModel``, which is asked in the same way.

They are those of the library's processors, one for each box (``multimask_output=False``): the
mask's logits are resized to the image (bilinear) and cut at 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from riveg.types import Box
from riveg.vision.runtime.image_worker import Prepared
from riveg.vision.runtime.square_images import Preparation
from riveg.vision.segmenters.prompted import Prompt

if TYPE_CHECKING:
    import torch

    from riveg.geometry.arrays import Bitmap


@dataclass(frozen=True, slots=True)
class _Seen:
    """An image's embeddings, finest first; its sides ``(height, width)``."""

    embeddings: list[torch.Tensor]
    size: tuple[int, int]


class Sam2Network:
    """Encodes images and decodes boxes.

    Args:
        network: A ``Sam2Model`` or ``Sam3TrackerModel`` in evaluation mode, what follows its
            encoder in float32.
        preparation: How its images are made ready.
    """

    def __init__(self, network: Any, preparation: Preparation) -> None:
        self.prepare = preparation.prepare
        self._network = network
        self._preparation = preparation

    def look_at(self, images: Sequence[Prepared[torch.Tensor]]) -> Sequence[_Seen]:
        """The embeddings of each image."""
        import torch

        pixels = torch.cat([image.value for image in images])
        encoder = next(self._network.vision_encoder.parameters())
        with torch.inference_mode():
            maps = self._network.get_image_embeddings(pixels.to(encoder))
        return [
            _Seen([one[number : number + 1] for one in maps], image.size)
            for number, image in enumerate(images)
        ]

    def cut_out(self, seen: _Seen, prompts: Sequence[Prompt]) -> Iterator[Bitmap]:
        """The pixels of each box."""
        for logits in self._logits(seen, [prompt.box for prompt in prompts]):
            yield _pixels(logits, seen.size)

    def _logits(self, seen: _Seen, boxes: Sequence[Box]) -> torch.Tensor:
        """*Shape* ``(boxes, 1, side, side)``, of the square that the network saw."""
        import torch

        corners = self._scaled(boxes, seen.size).to(seen.embeddings[0].device)
        with torch.inference_mode():
            found: torch.Tensor = self._network(
                image_embeddings=seen.embeddings, input_boxes=corners[None], multimask_output=False
            ).pred_masks[0]
        return found

    def _scaled(self, boxes: Sequence[Box], size: tuple[int, int]) -> torch.Tensor:
        """Boxes in the square's pixels, *shape* ``(boxes, 4)``."""
        import torch

        edges = [(box.x_min, box.y_min, box.x_max, box.y_max) for box in boxes]
        corners = torch.tensor(edges, dtype=torch.float32)
        corners[:, 0::2] *= self._preparation.width / size[1]
        corners[:, 1::2] *= self._preparation.height / size[0]
        return corners


def _pixels(logits: torch.Tensor, size: tuple[int, int]) -> Bitmap:
    import torch
    from torch.nn import functional

    with torch.inference_mode():
        grown = functional.interpolate(logits[None], size, mode="bilinear", align_corners=False)
        pixels: Bitmap = (grown[0, 0] > 0.0).cpu().numpy()
    return pixels
