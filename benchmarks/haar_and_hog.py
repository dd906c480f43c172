"""Faces by OpenCV's Haar cascades, people by its HOG detector: what ``observe: evidence`` replaced.

Profiles are searched for where no face looks at the camera, whole people where there is no face.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from riveg.geometry.boxes import clip_box, common_area
from riveg.types import Box, ImageSize, Observation
from riveg.vision.plain.package_files import package_files

FRONTAL, PROFILE = "haarcascade_frontalface_alt2.xml", "haarcascade_profileface.xml"
FRONTAL_LEVELS, PROFILE_LEVELS, PERSON_LEVELS = (53.76, 57.76), (-1.27, 6.0), (0.0, 3.0)
"""Weights that score 0 and 1."""
FACE_SIDE, PROFILE_SIDE, PERSON_SIDE = 400, 320, 400
"""Longer side in pixels of the copy that is looked at."""
LEAST_PERSON = 1.0

Found = list[tuple[Box, float]]


class HaarAndHog:
    """For one thread at a time."""

    def __init__(self) -> None:
        if not hasattr(cv2, "CascadeClassifier"):
            raise SystemExit("Haar cascades and HOG need opencv-python-headless<5")
        frontal, profile = package_files("cv2", "data", FRONTAL, PROFILE)
        self._frontal: Any = cv2.CascadeClassifier(str(frontal))
        self._profile: Any = cv2.CascadeClassifier(str(profile))
        self._person: Any = cv2.HOGDescriptor()
        self._person.setSVMDetector(cv2.HOGDescriptor.getDefaultPeopleDetector())

    def observe(self, pixels: Any) -> tuple[Observation, ...]:
        """Faces, else people."""
        grey, scale = shrunk(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), FACE_SIDE)
        faces = cascade(self._frontal, grey, scale, FRONTAL_LEVELS)
        if not faces:
            grey, scale = shrunk(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), PROFILE_SIDE)
            faces = cascade(self._profile, grey, scale, PROFILE_LEVELS)
            width = pixels.shape[1]
            faces += [
                (Box(width - box.x_max, box.y_min, width - box.x_min, box.y_max), score)
                for box, score in cascade(self._profile, cv2.flip(grey, 1), scale, PROFILE_LEVELS)
            ]
        kept = without_repetitions("face", faces, pixels)
        return kept or without_repetitions("person", self._people(pixels), pixels)

    def _people(self, pixels: Any) -> Found:
        small, scale = shrunk(pixels, PERSON_SIDE)
        if small.shape[0] < 128 or small.shape[1] < 64:
            return []
        boxes, weights = self._person.detectMultiScale(small, winStride=(8, 8), scale=1.1)
        return [
            (scaled(box, scale), level(weight, PERSON_LEVELS))
            for box, weight in zip(boxes, np.ravel(weights), strict=True)
            if weight >= LEAST_PERSON
        ]


def cascade(classifier: Any, grey: Any, scale: float, levels: tuple[float, float]) -> Found:
    """Boxes in pixels of the image."""
    boxes, _, weights = classifier.detectMultiScale3(
        grey, scaleFactor=1.1, minNeighbors=3, minSize=(20, 20), outputRejectLevels=True
    )
    return [
        (scaled(box, scale), level(weight, levels))
        for box, weight in zip(boxes, np.ravel(weights), strict=True)
    ]


def shrunk(pixels: Any, side: int) -> tuple[Any, float]:
    """A copy whose longer side is at most ``side``, and its pixels per pixel of the image."""
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), scale


def scaled(box: Sequence[Any], scale: float) -> Box:
    """A box of the copy in the image."""
    x, y, width, height = (float(value) / scale for value in box)
    return Box(x, y, x + width, y + height)


def level(weight: float, levels: tuple[float, float]) -> float:
    """A score in [0.01, 1]."""
    low, high = levels
    return min(1.0, max(0.01, (float(weight) - low) / (high - low)))


def without_repetitions(kind: str, found: Found, pixels: Any) -> tuple[Observation, ...]:
    """Boxes inside the image; of those that overlap, the best one."""
    height, width = pixels.shape[:2]
    kept: Found = []
    for box, score in sorted(found, key=lambda one: (-one[1], one[0].y_min, one[0].x_min)):
        inside = clip_box(box, ImageSize(width, height))
        if inside and not any(is_same(inside, other) for other, _ in kept):
            kept.append((inside, score))
    return tuple(Observation(kind, box, score) for box, score in kept)


def is_same(one: Box, other: Box) -> bool:
    """Whether two boxes show one thing."""
    common = common_area(one, other)
    union = one.area + other.area - common
    return common > 0.3 * union or common > 0.8 * min(one.area, other.area)
