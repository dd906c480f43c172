"""Faces and people in an image: OpenCV's cascades and its people detector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riveg.geometry.boxes import common_area
from riveg.types import Box, ImageSize, Observation
from riveg.vision.plain.package_files import package_files

if TYPE_CHECKING:
    from riveg.geometry.arrays import Pixels


_FRONTAL = "haarcascade_frontalface_alt2.xml"
_PROFILE = "haarcascade_profileface.xml"
_FRONTAL_LEVELS = (53.76, 57.76)
"""Level weights that score 0 and 1: the last stage's threshold, and one above any real face."""
_PROFILE_LEVELS = (-1.27, 6.0)
_PERSON_LEVELS = (0.0, 3.0)
_LEAST_PERSON = 1.0
"""Least HOG margin of a person; rockets and lamp posts score below it."""
_SAME = 0.3
"""Two boxes with a higher intersection over union are one."""


def cascade_files() -> tuple[Path, ...]:
    """The frontal and the profile cascade inside the OpenCV package.

    Raises:
        UserError: If they are not there.
    """
    return package_files("cv2", "data", _FRONTAL, _PROFILE)


class FigureFinder:
    """Finds faces and people; for one thread at a time."""

    def __init__(self, face_side: int, profile_side: int, person_side: int) -> None:
        import cv2

        frontal, profile = (cv2.CascadeClassifier(str(path)) for path in cascade_files())
        self._frontal: Any = frontal
        self._profile: Any = profile
        hog: Any = cv2.HOGDescriptor
        self._person: Any = hog()
        self._person.setSVMDetector(hog.getDefaultPeopleDetector())
        self._face_side = face_side
        self._profile_side = profile_side
        self._person_side = person_side

    def frontal_faces(self, pixels: Pixels) -> tuple[Observation, ...]:
        """Faces that look at the camera.

        *Shape:* ``(height, width, 3)``.
        """
        grey, scale = _grey(pixels, self._face_side)
        return _observations("face", _cascade(self._frontal, grey, scale, _FRONTAL_LEVELS), pixels)

    def profiles(self, pixels: Pixels) -> tuple[Observation, ...]:
        """Faces that look to either side.

        *Shape:* ``(height, width, 3)``.
        """
        import cv2

        grey, scale = _grey(pixels, self._profile_side)
        left = _cascade(self._profile, grey, scale, _PROFILE_LEVELS)
        turned = _cascade(self._profile, cv2.flip(grey, 1), scale, _PROFILE_LEVELS)
        right = [(_mirrored(box, pixels.shape[1]), score) for box, score in turned]
        return _observations("face", left + right, pixels)

    def people(self, pixels: Pixels) -> tuple[Observation, ...]:
        """Whole people who stand upright.

        *Shape:* ``(height, width, 3)``.
        """
        small, scale = _shrunk(pixels, self._person_side)
        if small.shape[0] < 128 or small.shape[1] < 64:
            return ()
        boxes, weights = self._person.detectMultiScale(small, winStride=(8, 8), scale=1.1)
        found = [
            (_scaled(box, scale), _score(float(weight), _PERSON_LEVELS))
            for box, weight in zip(boxes, _flat(weights), strict=True)
            if weight >= _LEAST_PERSON
        ]
        return _observations("person", found, pixels)


_ScoredBoxes = list[tuple[Box, float]]


def _cascade(classifier: Any, grey: Any, scale: float, levels: tuple[float, float]) -> _ScoredBoxes:
    boxes, _, weights = classifier.detectMultiScale3(
        grey, scaleFactor=1.1, minNeighbors=3, minSize=(20, 20), outputRejectLevels=True
    )
    return [
        (_scaled(box, scale), _score(float(weight), levels))
        for box, weight in zip(boxes, _flat(weights), strict=True)
    ]


def _flat(weights: Any) -> list[float]:
    import numpy as np

    return [float(weight) for weight in np.ravel(weights)]


def _grey(pixels: Pixels, side: int) -> tuple[Any, float]:
    import cv2

    small, scale = _shrunk(pixels, side)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), scale


def _shrunk(pixels: Pixels, side: int) -> tuple[Any, float]:
    """A copy whose longer side is at most ``side``, and its pixels per pixel of the image."""
    import cv2

    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    if scale == 1.0:
        return pixels, scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), scale


def _scaled(box: Sequence[Any], scale: float) -> Box:
    x, y, width, height = (float(value) / scale for value in box)
    return Box(x, y, x + width, y + height)


def _mirrored(box: Box, width: int) -> Box:
    return Box(width - box.x_max, box.y_min, width - box.x_min, box.y_max)


def _score(weight: float, levels: tuple[float, float]) -> float:
    low, high = levels
    return round(min(1.0, max(0.01, (weight - low) / (high - low))), 4)


def _observations(kind: str, found: _ScoredBoxes, pixels: Pixels) -> tuple[Observation, ...]:
    """Boxes inside the image from top to bottom; of boxes that overlap, the best one."""
    height, width = pixels.shape[:2]
    kept: _ScoredBoxes = []
    for box, score in sorted(found, key=lambda one: (-one[1], one[0].y_min, one[0].x_min)):
        inside = clip_box(box, ImageSize(width, height))
        if inside and not any(_is_same(inside, other) for other, _ in kept):
            kept.append((inside, score))
    kept.sort(key=lambda one: (one[0].y_min, one[0].x_min))
    return tuple(Observation(kind, box, score) for box, score in kept)


def _is_same(first: Box, second: Box) -> bool:
    common = common_area(first, second)
    union = first.area + second.area - common
    return common > _SAME * union or common > 0.8 * min(first.area, second.area)


def clip_box(box: Box, size: ImageSize) -> Box | None:
    """The part of a box in the image, to a hundredth of a pixel; ``None`` where it has none."""
    x_min, y_min = (round(max(0.0, edge), 2) for edge in (box.x_min, box.y_min))
    x_max, y_max = (
        round(min(float(size.width), box.x_max), 2),
        round(min(float(size.height), box.y_max), 2),
    )
    return Box(x_min, y_min, x_max, y_max) if x_min < x_max and y_min < y_max else None
