"""The pixels of people, by MediaPipe's selfie segmentation, a network of 0.1 million weights.

It was made for video calls: it finds the people in front, large in its square, and what they hold.
So it looks at the box of one person, with a little of what lies around it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from riveg.checkpoints.onnx_session import open_session
from riveg.geometry.boxes import grown_box, touched_edges
from riveg.geometry.masks import box_pixels
from riveg.types import Box, ImageSize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from riveg.geometry.arrays import Bitmap, Pixels

_SIDE = 256


class Selfie:
    """Finds the pixels of people in boxes; threads may share it.

    Args:
        model: The network's file.
        margin: How much of the image around a box is looked at on each side, as a share of the
            box's side.
        least_probability: Pixels that are less probably a person's are not reported, in [0, 1].

    Raises:
        UserError: If the file is not there or is no network.
    """

    def __init__(self, model: Path, margin: float, least_probability: float) -> None:
        self._session = open_session(model)
        self._margin = margin
        self._least_probability = least_probability

    def cut(self, pixels: Pixels, box: Box) -> Bitmap:
        """The pixels of people inside a box: of all people in it, and none outside.

        *Shapes:* of the image ``(height, width, 3)``, of the answer ``(height, width)``.
        """
        height, width = pixels.shape[:2]
        size = ImageSize(width, height)
        people = np.zeros((height, width), dtype=np.bool_)
        edges = touched_edges(grown_box(box, self._margin), size)
        if edges is None:
            return people
        left, top, right, bottom = edges
        probabilities = self._probabilities(pixels[top:bottom, left:right])
        people[top:bottom, left:right] = probabilities >= self._least_probability
        return people & box_pixels(box, size)

    def _probabilities(self, part: Pixels) -> NDArray[np.float32]:
        """How probably each pixel of a part of an image is a person's, in [0, 1].

        The part is stretched to a square, as the network is used where it comes from. *Shapes:*
        ``(height, width, 3)`` and ``(height, width)``.
        """
        import cv2

        height, width = part.shape[:2]
        how = cv2.INTER_AREA if max(height, width) > _SIDE else cv2.INTER_LINEAR
        square = cv2.resize(part, (_SIDE, _SIDE), interpolation=how)
        values = square.astype(np.float32)[None] / 255
        (answer,) = self._session.run(["mask"], {"image": values})
        soft: NDArray[np.float32] = cv2.resize(
            answer[0, :, :, 0], (width, height), interpolation=cv2.INTER_LINEAR
        )
        return soft
