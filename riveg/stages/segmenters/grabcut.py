"""Masks by OpenCV's GrabCut (Rother, Kolmogorov, Blake 2004), started from the box.

Each region is cut out with a margin around it, in a copy of bounded size. Outside the box is
background for sure; inside, the inscribed ellipse, or below its middle where the box runs to the
image's lower edge (a body cut off) its full width, is taken for foreground, the corners for
background, and the cut decides. Where it has nothing to decide by, or gives next to nothing or next
to the whole box, the mask is the inscribed ellipse, and says so. OCR text is its box: letters are
thin, and what an annotator marks is the place.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import ImageFault
from riveg.geometry.boxes import whole_edges
from riveg.protocols import ImageSource, Mention, Segmenter
from riveg.types import Box, ImageSize, Issue, Mask, Region

if TYPE_CHECKING:
    from riveg.geometry.arrays import Bitmap, Pixels


_MARGIN = 0.25
"""Background seen on every side of the box, in its sides."""
_LEAST_SIDE = 8
"""Boxes under so many pixels, before or after shrinking, have nothing to cut."""
_SPECK = 0.1
"""Pieces smaller than this share of the largest one are dropped."""
_SEED = 1


class GrabCutConfig(BackendConfig[Segmenter]):
    """``side``: longer side in pixels of the copy that is cut. ``rounds``: of GrabCut.

    ``least_share`` and ``most_share``: a cut that fills less or more of its box is taken to have
    failed. ``threads``: regions cut at the same time; the answers do not depend on it.
    """

    stage: ClassVar[str] = "segment"
    name: ClassVar[str] = "grabcut"
    summary: ClassVar[str] = "GrabCut from the box (OpenCV), else the box's ellipse"
    needs_image: ClassVar[bool] = True

    side: int = Field(default=200, ge=32)
    rounds: int = Field(default=3, ge=1)
    least_share: float = Field(default=0.15, ge=0, le=1)
    most_share: float = Field(default=0.97, ge=0, le=1)
    threads: int = Field(default=2, ge=1)

    def build(self, context: BuildContext) -> GrabCut:
        """The live backend."""
        return GrabCut(context.images, **self.model_dump())


class GrabCut:
    """Cuts regions out of their images.

    Args:
        images: Where images come from.
        side: Longer side of the copy that is cut.
        rounds: Rounds of GrabCut.
        least_share: Least share of the box that a cut must fill.
        most_share: Most.
        threads: Mentions at the same time.
    """

    def __init__(
        self,
        images: ImageSource,
        *,
        side: int = 200,
        rounds: int = 3,
        least_share: float = 0.15,
        most_share: float = 0.97,
        threads: int = 2,
    ) -> None:
        self._images = images
        self._side = side
        self._rounds = rounds
        self._least_share = least_share
        self._most_share = most_share
        self._threads = threads

    def segment(self, mentions: Sequence[Mention]) -> Sequence[tuple[Mask, ...] | Issue]:
        """A mask inside each region's box, of the whole image's size."""
        if len(mentions) < 2:
            return tuple(map(self._segment, mentions))
        with ThreadPoolExecutor(self._threads) as pool:
            return tuple(pool.map(self._segment, mentions))

    def _segment(self, mention: Mention) -> tuple[Mask, ...] | Issue:
        image, entity = mention.sample.image, mention.entity
        if image is None:
            return Issue("segment", entity.id, "no-picture", "the post has no picture to cut")
        try:
            pixels = self._images.load(image)
        except ImageFault as fault:
            return Issue("segment", entity.id, fault.kind, str(fault))
        return tuple(self._mask(pixels, region) for region in entity.regions or ())

    def _mask(self, pixels: Pixels, region: Region) -> Mask:
        from riveg.geometry.masks import box_pixels, mask_from_array

        height, width = pixels.shape[:2]
        if region.source == "evidence:lettering":
            return mask_from_array(box_pixels(region.box, ImageSize(width, height)), "box")
        cut = self._cut(pixels, region.box)
        if cut is not None:
            return mask_from_array(cut, "grabcut")
        return mask_from_array(_ellipse(region.box, width, height), "ellipse")

    def _cut(self, pixels: Pixels, box: Box) -> Bitmap | None:
        """The cut, or ``None`` where there is nothing to cut by or the cut failed."""
        from riveg.geometry.masks import box_pixels

        view = _view(pixels, box, self._side)
        if view is None:
            return None
        foreground = _grabcut(view, self._rounds)
        if foreground is None:
            return None
        inside = _in_image(foreground, view, pixels) & box_pixels(
            box, ImageSize(*pixels.shape[1::-1])
        )
        share = inside.sum() / max(box.area, 1.0)
        return inside if self._least_share <= share <= self._most_share else None


@dataclass(frozen=True, slots=True)
class _View:
    """A shrunk cut-out: its pixels, where it lies in the image, and the box inside it (xyxy)."""

    pixels: Any
    frame: tuple[int, int, int, int]
    box: tuple[int, int, int, int]
    runs_off: bool


def _view(pixels: Pixels, box: Box, side: int) -> _View | None:
    import cv2

    height, width = pixels.shape[:2]
    across, down = box.width * _MARGIN, box.height * _MARGIN
    x_min, y_min = max(0, int(box.x_min - across)), max(0, int(box.y_min - down))
    x_max, y_max = min(width, int(box.x_max + across) + 1), min(height, int(box.y_max + down) + 1)
    out = pixels[y_min:y_max, x_min:x_max]
    if min(out.shape[:2]) < _LEAST_SIDE:
        return None
    scale = min(1.0, side / max(out.shape[:2]))
    size = (max(1, round(out.shape[1] * scale)), max(1, round(out.shape[0] * scale)))
    small = cv2.resize(out, size, interpolation=cv2.INTER_AREA)
    inner = (
        max(0, round((box.x_min - x_min) * scale)),
        max(0, round((box.y_min - y_min) * scale)),
        min(size[0], round((box.x_max - x_min) * scale)),
        min(size[1], round((box.y_max - y_min) * scale)),
    )
    if min(inner[2] - inner[0], inner[3] - inner[1]) < _LEAST_SIDE:
        return None
    return _View(small, (x_min, y_min, x_max, y_max), inner, box.y_max >= 0.97 * height)


def _grabcut(view: _View, rounds: int) -> Bitmap | None:
    """Foreground of *shape* ``(height, width)`` of the view."""
    import cv2
    import numpy as np

    x_min, y_min, x_max, y_max = view.box
    labels = np.full(view.pixels.shape[:2], cv2.GC_BGD, dtype=np.uint8)
    shape = _shape(x_max - x_min, y_max - y_min, runs_off=view.runs_off)
    labels[y_min:y_max, x_min:x_max] = np.where(shape, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    sure = labels == cv2.GC_BGD
    if _is_plain(view.pixels) or not (labels == cv2.GC_PR_FGD).any():
        return None
    if sure.sum() < 0.05 * sure.size and not (labels == cv2.GC_PR_BGD).any():
        return None
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(_SEED)
    try:
        cv2.grabCut(view.pixels, labels, None, *models, rounds, cv2.GC_INIT_WITH_MASK)
    except cv2.error:
        return None
    return _without_specks((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))


def _shape(width: int, height: int, *, runs_off: bool) -> Bitmap:
    """The ellipse in a box of these sides; full width below its middle if it runs off."""
    import numpy as np

    x = (np.arange(width) + 0.5) / width * 2 - 1
    y = (np.arange(height) + 0.5) / height * 2 - 1
    if runs_off:
        y = np.minimum(y, 0.0)
    inside: Bitmap = x[None, :] ** 2 + y[:, None] ** 2 <= 1
    return inside


def _is_plain(pixels: Any) -> bool:
    return bool((pixels.max(axis=(0, 1)).astype(int) - pixels.min(axis=(0, 1)) < 8).all())


def _without_specks(foreground: Any) -> Bitmap | None:
    import cv2
    import numpy as np

    count, pieces, figures, _ = cv2.connectedComponentsWithStats(foreground.astype(np.uint8))
    if count < 2:
        return None
    areas = figures[1:, cv2.CC_STAT_AREA]
    kept = 1 + np.flatnonzero(areas >= _SPECK * areas.max())
    found: Bitmap = np.isin(pieces, kept)
    return found


def _in_image(foreground: Bitmap, view: _View, pixels: Pixels) -> Bitmap:
    import cv2
    import numpy as np

    x_min, y_min, x_max, y_max = view.frame
    size = (x_max - x_min, y_max - y_min)
    # Interpolated and thresholded, so that edges come out smooth and not as steps.
    soft = cv2.resize(foreground.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    inside = np.zeros(pixels.shape[:2], dtype=np.bool_)
    inside[y_min:y_max, x_min:x_max] = soft >= 0.5
    return inside


def _ellipse(box: Box, width: int, height: int) -> Bitmap:
    from riveg.geometry.masks import box_pixels

    size = ImageSize(width, height)
    x_min, y_min, x_max, y_max = whole_edges(box, size)
    pixels = box_pixels(box, size)
    pixels[y_min:y_max, x_min:x_max] = _shape(x_max - x_min, y_max - y_min, runs_off=False)
    return pixels
