"""Faces, near and far, by BlazeFace's full-range model (Bazarevsky et al. 2019)."""

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

_SIDE = 192
_CELLS = 48
_SAME = 0.3
"""Boxes that overlap more, in IoU, show one face: it is their mean, weighted by score."""
_MOST_LOGIT = 100.0
"""Logits are cut here, as where the network comes from; beyond it their exponential overflows."""


class Face(NamedTuple):
    """A face: where it is in pixels of the image, and its score."""

    box: Box
    score: float


class BlazeFace:
    """Finds faces in images; threads may share it.

    Args:
        model: The network's file.
        least_score: Faces that score less are not reported, in [0, 1].

    Raises:
        UserError: If the file is not there or is no network.
    """

    def __init__(self, model: Path, least_score: float) -> None:
        self._session = open_session(model)
        self._least_score = least_score

    def detect(self, pixels: Pixels) -> tuple[Face, ...]:
        """The faces in an image, the best first.

        *Shape:* ``(height, width, 3)``.
        """
        height, width = pixels.shape[:2]
        frame = Letterbox.of(ImageSize(width, height), _SIDE)
        values = frame.fill(pixels).astype(np.float32)[None] / 127.5 - 1.0
        places, logits = self._session.run(["boxes", "scores"], {"image": values})
        boxes, scores = _decoded(places[0], logits[0, :, 0], self._least_score)
        boxes, scores = _merged(boxes, scores)
        return tuple(
            Face(box, min(1.0, round(float(score), 4)))
            for box, score in zip(map(frame.to_image, boxes), scores, strict=True)
            if box is not None
        )


def _decoded(
    places: NDArray[np.float32], logits: NDArray[np.float32], least: float
) -> tuple[Boxes, NDArray[np.float64]]:
    """Boxes in pixels of the square, and their scores in [0, 1].

    Args:
        places: Offset of the centre from the cell's, width and height, in pixels, then landmarks,
            *shape* ``(cells, 16)``.
        logits: *Shape* ``(cells,)``.
        least: Least score.

    Returns:
        *Shapes* ``(found, 4)`` and ``(found,)``.
    """
    scores = 1.0 / (1.0 + np.exp(-np.clip(logits.astype(np.float64), -_MOST_LOGIT, _MOST_LOGIT)))
    (cells,) = np.nonzero(scores >= least)
    found = places[cells, :4].astype(np.float64)
    stride = _SIDE / _CELLS
    centres = found[:, :2] + (np.stack([cells % _CELLS, cells // _CELLS], axis=1) + 0.5) * stride
    halves = found[:, 2:] / 2
    return np.concatenate([centres - halves, centres + halves], axis=1), scores[cells]


def _merged(boxes: Boxes, scores: NDArray[np.float64]) -> tuple[Boxes, NDArray[np.float64]]:
    """One box a face: of boxes that overlap the best one, the mean weighted by score.

    *Shapes* in and out: ``(boxes, 4)`` and ``(boxes,)``.
    """
    left = np.lexsort((boxes[:, 0], boxes[:, 1], -scores))
    means: list[NDArray[np.float64]] = []
    best: list[float] = []
    while len(left):
        overlap = pairwise_iou(boxes[left[:1]], boxes[left])[0]
        same = left[overlap > _SAME] if (overlap > _SAME).any() else left[:1]
        means.append(np.average(boxes[same], axis=0, weights=scores[same]))
        best.append(float(scores[left[0]]))
        left = left[~np.isin(left, same)]
    return np.array(means).reshape(-1, 4), np.array(best)
