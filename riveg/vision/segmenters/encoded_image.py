"""What SAM and its authors' package keep of an image, and boxes in the pixels that they see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from riveg.geometry.heat_maps import Point
from riveg.types import Box, ImageSize


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image's embedding, its size upright, and its size as the network saw it.

    ``embedding``: float32, *shape* ``(1, channels, rows, columns)``.
    """

    embedding: torch.Tensor
    size: ImageSize
    seen_size: ImageSize

    def corners(self, boxes: Sequence[Box], precision: DTypeLike = np.float64) -> torch.Tensor:
        """Boxes in the pixels that the network saw: xyxy, float64.

        *Shape:* ``(boxes, 4)``.

        Args:
            boxes: In pixels of the upright image.
            precision: The number type that the edges are rounded to before they are scaled.
        """
        scale = [self.seen_size.width / self.size.width, self.seen_size.height / self.size.height]
        edges = box_edges(boxes).astype(precision).astype(np.float64)
        return torch.from_numpy(edges * (scale * 2))

    def places(self, points: Sequence[Point]) -> torch.Tensor:
        """Points in the pixels that the network saw: xy, float64.

        *Shape:* ``(points, 2)``.

        Args:
            points: In pixels of the upright image.
        """
        scale = [self.seen_size.width / self.size.width, self.seen_size.height / self.size.height]
        return torch.from_numpy(np.array(points, np.float64) * scale)


def box_edges(boxes: Sequence[Box]) -> NDArray[np.float64]:
    """Boxes as an array, xyxy.

    *Shape:* ``(boxes, 4)``.
    """
    return np.array([(box.x_min, box.y_min, box.x_max, box.y_max) for box in boxes], np.float64)
