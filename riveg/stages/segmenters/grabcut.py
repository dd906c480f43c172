"""Masks by OpenCV's GrabCut (Rother, Kolmogorov, Blake 2004), started from the box.

Each box is cut out with a margin around it and shrunk. Outside the box is certain background. In
the box, its inscribed ellipse is probable foreground and the corners are probable background; where
the box ends at the image's lower edge, so that a body is cut off, the foreground has the full width
below the middle. Where GrabCut cannot decide, or marks almost nothing or almost all of the box, the
mask is the ellipse, and its source says so. The mask of OCR text is its box: letters are thin, and
annotators mark the place.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.config.threads import ThreadCount, Threads, count_threads
from riveg.geometry.boxes import whole_edges
from riveg.protocols import AnswerOrIssue, ImageSource, Mention, Segmenter
from riveg.reads import Reads, reads
from riveg.stages.segmenters.region_masks import cut_regions
from riveg.types import Box, ImageSize, Mask, Region

if TYPE_CHECKING:
    from riveg.geometry.arrays import Bitmap, Pixels


OCR_TEXT = "evidence:lettering"
"""Source of regions that are OCR text."""

_MARGIN = 0.25
"""Margin on every side of the box, as a share of its width or height."""
_LEAST_SIDE = 8
"""The least number of pixels of a side that can be cut, before and after shrinking."""
_SPECK = 0.1
"""Pieces smaller than this share of the largest one are dropped."""
_LOWER_EDGE = 0.97
"""A box that ends below this share of the image's height ends at its lower edge."""
_SEED = 1


class GrabCutConfig(BackendConfig[Segmenter]):
    """``side``: longer side in pixels of the copy that is cut. ``rounds``: of GrabCut.

    ``least_share`` and ``most_share``: a cut that fills less or more of its box is taken to have
    failed. ``threads``: images cut at the same time, ``auto`` for one a core; the answers do not
    depend on it.
    """

    stage: ClassVar[str] = "segment"
    name: ClassVar[str] = "grabcut"
    summary: ClassVar[str] = "GrabCut from the box (OpenCV), else the box's ellipse"
    needs_image: ClassVar[bool] = True
    immaterial: ClassVar[frozenset[str]] = frozenset({"threads"})
    parallel: ClassVar[bool] = True

    side: int = Field(default=200, ge=32)
    rounds: int = Field(default=3, ge=1)
    least_share: float = Field(default=0.15, ge=0, le=1)
    most_share: float = Field(default=0.97, ge=0, le=1)
    threads: Threads = "auto"

    def reads(self) -> Reads:
        return reads("image", entity="regions")

    def build(self, context: BuildContext) -> GrabCut:
        """The live backend."""
        return GrabCut(context.images, **self.model_dump())


class GrabCut:
    """Cuts regions out of their images.

    Args:
        images: Where images come from.
        side: Longer side of the copy that is cut.
        rounds: Rounds of GrabCut.
        least_share: Least share of the box that a cut fills, or it counts as failed.
        most_share: Most.
        threads: Images at the same time; ``auto``: one a core.
    """

    def __init__(
        self,
        images: ImageSource,
        *,
        side: int = 200,
        rounds: int = 3,
        least_share: float = 0.15,
        most_share: float = 0.97,
        threads: ThreadCount = "auto",
    ) -> None:
        self._images = images
        self._side = side
        self._rounds = rounds
        self._least_share = least_share
        self._most_share = most_share
        self._pool = ThreadPoolExecutor(count_threads(threads))

    def segment(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[tuple[Mask, ...]]]:
        """A mask inside each region's box, of the whole image's size; equal ones are cut once."""

        def request_of(_: Mention, region: Region) -> tuple[Box, str | None]:
            return region.box, region.source

        def cut(pixels: Pixels, request: tuple[Box, str | None]) -> Mask:
            return self.mask(pixels, *request)

        return cut_regions(mentions, self._images, request_of, cut, self._pool)

    def mask(self, pixels: Pixels, box: Box, source: str | None = None) -> Mask:
        """The mask of one region.

        Args:
            pixels: The whole image, *shape* ``(height, width, 3)``.
            box: Of the region.
            source: Of the region.
        """
        from riveg.geometry.masks import box_pixels, mask_from_array

        if source == OCR_TEXT:
            return mask_from_array(box_pixels(box, _size(pixels)), "box")
        cut = self._cut(pixels, box)
        if cut is not None:
            return mask_from_array(cut, "grabcut")
        return mask_from_array(_box_ellipse(box, _size(pixels)), "ellipse")

    def _cut(self, pixels: Pixels, box: Box) -> Bitmap | None:
        """The cut; ``None`` where GrabCut cannot decide or has failed."""
        from riveg.geometry.masks import box_pixels

        cut_out = _cut_out(pixels, box, self._side)
        foreground = None if cut_out is None else _foreground(cut_out, self._rounds)
        if cut_out is None or foreground is None:
            return None
        size = _size(pixels)
        cut = _in_image(foreground, cut_out, size) & box_pixels(box, size)
        share = cut.sum() / max(box.area, 1.0)
        return cut if self._least_share <= share <= self._most_share else None


@dataclass(frozen=True, slots=True)
class _CutOut:
    """A part of an image, shrunk, with the box in it.

    Args:
        pixels: *Shape:* ``(height, width, 3)``.
        edges: Of the part, in pixels of the image: left, upper, right, lower.
        box: The edges of the box, in pixels of the shrunk part.
        is_cut_off: Whether the box ends at the image's lower edge.
    """

    pixels: Pixels
    edges: tuple[int, int, int, int]
    box: tuple[int, int, int, int]
    is_cut_off: bool


def _cut_out(pixels: Pixels, box: Box, side: int) -> _CutOut | None:
    """The box with its margin; ``None`` where it is too small to be cut."""
    import cv2

    width, height = _size(pixels)
    across, down = box.width * _MARGIN, box.height * _MARGIN
    left, top = max(0, int(box.x_min - across)), max(0, int(box.y_min - down))
    right, bottom = min(width, int(box.x_max + across) + 1), min(height, int(box.y_max + down) + 1)
    part = pixels[top:bottom, left:right]
    if min(_size(part)) < _LEAST_SIDE:
        return None
    scale = min(1.0, side / max(_size(part)))
    size = ImageSize(*(max(1, round(length * scale)) for length in _size(part)))
    inner = (
        max(0, round((box.x_min - left) * scale)),
        max(0, round((box.y_min - top) * scale)),
        min(size.width, round((box.x_max - left) * scale)),
        min(size.height, round((box.y_max - top) * scale)),
    )
    if min(inner[2] - inner[0], inner[3] - inner[1]) < _LEAST_SIDE:
        return None
    shrunk: Pixels = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    is_cut_off = box.y_max >= _LOWER_EDGE * height
    return _CutOut(shrunk, (left, top, right, bottom), inner, is_cut_off)


def _foreground(cut_out: _CutOut, rounds: int) -> Bitmap | None:
    """What GrabCut takes for foreground; ``None`` where it cannot decide or fails.

    *Shape:* ``(height, width)`` of the cut-out.
    """
    import cv2
    import numpy as np

    left, top, right, bottom = cut_out.box
    labels = np.full(cut_out.pixels.shape[:2], cv2.GC_BGD, dtype=np.uint8)
    ellipse = _ellipse(ImageSize(right - left, bottom - top), is_cut_off=cut_out.is_cut_off)
    labels[top:bottom, left:right] = np.where(ellipse, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    background = labels == cv2.GC_BGD
    if _is_plain(cut_out.pixels) or not (labels == cv2.GC_PR_FGD).any():
        return None
    if background.sum() < 0.05 * background.size and not (labels == cv2.GC_PR_BGD).any():
        return None
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(_SEED)
    try:
        cv2.grabCut(cut_out.pixels, labels, None, *models, rounds, cv2.GC_INIT_WITH_MASK)
    except cv2.error:
        return None
    return _without_specks((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))


def _ellipse(size: ImageSize, *, is_cut_off: bool = False) -> Bitmap:
    """The ellipse in a box of this size; full width below its middle if the body is cut off."""
    import numpy as np

    x = (np.arange(size.width) + 0.5) / size.width * 2 - 1
    y = (np.arange(size.height) + 0.5) / size.height * 2 - 1
    if is_cut_off:
        y = np.minimum(y, 0.0)
    inside: Bitmap = x[None, :] ** 2 + y[:, None] ** 2 <= 1
    return inside


def _is_plain(pixels: Pixels) -> bool:
    """Whether all pixels have almost the same colour."""
    return bool((pixels.max(axis=(0, 1)).astype(int) - pixels.min(axis=(0, 1)) < 8).all())


def _without_specks(foreground: Bitmap) -> Bitmap | None:
    import cv2
    import numpy as np

    count, pieces, statistics, _ = cv2.connectedComponentsWithStats(foreground.astype(np.uint8))
    if count < 2:
        return None
    areas = statistics[1:, cv2.CC_STAT_AREA]
    large = 1 + np.flatnonzero(areas >= _SPECK * areas.max())
    kept: Bitmap = np.isin(pieces, large)
    return kept


def _in_image(foreground: Bitmap, cut_out: _CutOut, size: ImageSize) -> Bitmap:
    """The foreground of a cut-out as a bitmap of the whole image."""
    import cv2
    import numpy as np

    left, top, right, bottom = cut_out.edges
    # Interpolated before it is thresholded, so that edges are smooth and have no steps.
    soft = cv2.resize(
        foreground.astype(np.float32), (right - left, bottom - top), interpolation=cv2.INTER_LINEAR
    )
    bitmap = np.zeros((size.height, size.width), dtype=np.bool_)
    bitmap[top:bottom, left:right] = soft >= 0.5
    return bitmap


def _box_ellipse(box: Box, size: ImageSize) -> Bitmap:
    from riveg.geometry.masks import box_pixels

    left, top, right, bottom = whole_edges(box, size)
    bitmap = box_pixels(box, size)
    bitmap[top:bottom, left:right] = _ellipse(ImageSize(right - left, bottom - top))
    return bitmap


def _size(pixels: Pixels) -> ImageSize:
    height, width, _ = pixels.shape
    return ImageSize(width, height)
