"""An image fitted into a square, and boxes taken back to the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from riveg.geometry.boxes import clip_box
from riveg.types import Box, ImageSize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from riveg.geometry.arrays import Pixels


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where an image lies in a square of ``side`` pixels: ``inner`` large, from ``left``, ``top``.

    The aspect is kept up to whole pixels; the rest of the square is black.
    """

    image: ImageSize
    side: int
    inner: ImageSize
    left: int
    top: int

    @classmethod
    def of(cls, image: ImageSize, side: int) -> Letterbox:
        """The image in the middle of a square, as large as fits.

        >>> frame = Letterbox.of(ImageSize(200, 100), 50)
        >>> frame.inner, frame.left, frame.top
        (ImageSize(width=50, height=25), 0, 12)
        """
        scale = side / max(image)
        inner = ImageSize(
            max(1, min(side, round(image.width * scale))),
            max(1, min(side, round(image.height * scale))),
        )
        left, top = (side - inner.width) // 2, (side - inner.height) // 2
        return cls(image, side, inner, left, top)

    def fill(self, pixels: Pixels) -> Pixels:
        """The square with the image in it, *shape* ``(side, side, 3)``.

        Args:
            pixels: The image, *shape* ``(height, width, 3)``.
        """
        import cv2

        # Means of areas where it shrinks: else what is small depends on where the grid falls.
        shrinks = max(self.inner) < max(self.image)
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        resized = cv2.resize(pixels, tuple(self.inner), interpolation=how)
        square = np.zeros((self.side, self.side, 3), dtype=np.uint8)
        square[
            self.top : self.top + self.inner.height, self.left : self.left + self.inner.width
        ] = resized
        return square

    def to_image(self, edges: NDArray[np.float64]) -> Box | None:
        """A box of the square in the image, cut at its edges; ``None`` where nothing is left.

        Args:
            edges: xyxy in pixels of the square, *shape* ``(4,)``.
        """
        across, down = self.image.width / self.inner.width, self.image.height / self.inner.height
        x_min, x_max = ((float(edge) - self.left) * across for edge in edges[[0, 2]])
        y_min, y_max = ((float(edge) - self.top) * down for edge in edges[[1, 3]])
        if x_min >= x_max or y_min >= y_max:
            return None
        return clip_box(Box(x_min, y_min, x_max, y_max), self.image)
