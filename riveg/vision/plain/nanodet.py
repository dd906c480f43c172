"""People and 79 other kinds of things by NanoDet-g, a detector of 3.8 million weights.

The network gives, for every cell of three grids, a score for each class and four distributions over
the distances from the cell's centre to the box's edges (generalised focal loss, Li et al. 2020).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from riveg.checkpoints.onnx_session import open_session
from riveg.geometry.boxes import Boxes, pairwise_iou
from riveg.types import Box, ImageSize
from riveg.vision.plain.letterbox import Letterbox

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from riveg.geometry.arrays import Pixels

CLASSES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog",
    "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella",
    "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
    "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange",
    "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant",
    "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone",
    "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
"""Names of the network's classes, in its order: those of COCO."""

PERSON = CLASSES[0]

_SIDE = 416
_STRIDES = (8, 16, 32)
_BINS = 11
_MEAN = np.array([103.53, 116.28, 123.675], dtype=np.float32)
_DEVIATION = np.array([57.375, 57.12, 58.395], dtype=np.float32)
"""Of blue, green and red, on the scale of bytes."""
_SAME = 0.6
"""Of boxes of one class that overlap more, in IoU, the best is kept."""


class Detection(NamedTuple):
    """A thing in an image: its class, where it is in pixels of the image, and its score."""

    label: str
    box: Box
    score: float


class NanoDet:
    """Finds things in images; threads may share it.

    Args:
        model: The network's file.
        least_score: Things that score less are not reported, in [0, 1].

    Raises:
        UserError: If the file is not there or is no such network.
    """

    def __init__(self, model: Path, least_score: float) -> None:
        self._session = open_session(model)
        self._least_score = least_score

    def detect(self, pixels: Pixels) -> tuple[Detection, ...]:
        """The things in an image, the best first.

        *Shape:* ``(height, width, 3)``.
        """
        height, width = pixels.shape[:2]
        frame = Letterbox.of(ImageSize(width, height), _SIDE)
        blue_first = frame.fill(pixels)[:, :, ::-1].astype(np.float32)
        values = ((blue_first - _MEAN) / _DEVIATION).transpose(2, 0, 1)[None]
        names = [f"{kind}_{stride}" for stride in _STRIDES for kind in ("scores", "bins")]
        found = self._session.run(names, {"image": values})
        parts = [
            _decoded(scores[0], bins[0], stride, self._least_score)
            for stride, scores, bins in zip(_STRIDES, found[::2], found[1::2], strict=True)
        ]
        boxes, classes, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
        kept = _without_repetitions(boxes, classes, scores)
        clipped = (frame.to_image(edges) for edges in boxes[kept])
        return tuple(
            Detection(CLASSES[kind], box, min(1.0, round(float(score), 4)))
            for box, kind, score in zip(clipped, classes[kept], scores[kept], strict=True)
            if box is not None
        )


def _decoded(
    scores: NDArray[np.float32], distances: NDArray[np.float32], stride: int, least: float
) -> tuple[Boxes, NDArray[np.int64], NDArray[np.float64]]:
    """Boxes in pixels of the square, classes and scores of the cells of one grid.

    Args:
        scores: In [0, 1], *shape* ``(cells, classes)``.
        distances: Logits of the distances to left, top, right and bottom edge in strides, *shape*
            ``(cells, 4 * bins)``.
        stride: Pixels from one cell to the next.
        least: Least score.

    Returns:
        *Shapes* ``(found, 4)``, ``(found,)`` and ``(found,)``.
    """
    cells, classes = np.nonzero(scores >= least)
    logits = distances[cells].reshape(-1, 4, _BINS).astype(np.float64)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    reach = stride * (weights * np.arange(_BINS)).sum(axis=-1) / weights.sum(axis=-1)
    side = _SIDE // stride
    centres = (np.stack([cells % side, cells // side], axis=1) + 0.5) * stride
    boxes = np.concatenate([centres - reach[:, :2], centres + reach[:, 2:]], axis=1)
    return boxes, classes, scores[cells, classes].astype(np.float64)


def _without_repetitions(
    boxes: Boxes, classes: NDArray[np.int64], scores: NDArray[np.float64]
) -> list[int]:
    """Places of the boxes that no better box of their class covers, the best first."""
    kept: list[int] = []
    order = np.lexsort((boxes[:, 0], boxes[:, 1], classes, -scores))
    overlap = pairwise_iou(boxes, boxes)
    for place in map(int, order):
        rivals = [one for one in kept if classes[one] == classes[place]]
        if not (overlap[place, rivals] > _SAME).any():
            kept.append(place)
    return kept
