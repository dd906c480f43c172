"""Which frame the boxes that a model states are in, and whether answers are better than guesses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median, stdev

from riveg.geometry.boxes import box_iou
from riveg.geometry.frames import FRAMES, Frame, FrameName, Resize
from riveg.stages.stated_boxes import StatedBoxes
from riveg.types import Box, ImageSize

FEWEST_BOXES = 6
"""Fewer say nothing about the frame."""

_FITS = 0.5
"""Mean intersection over union from which a frame fits; below, GMNER would count no box."""

_SURELY = 2.0
"""Standard errors by which a frame must be better than another one to be told from it."""

_SLIGHTLY = 0.005
"""A smaller difference of mean intersections over union tells nothing, nor does it matter."""

_BY_CHANCE = 0.001
_MAY_BE_CHANCE = 0.05


@dataclass(frozen=True, slots=True)
class Candidate:
    """A frame that boxes may be in.

    Args:
        frame: How the numbers are read.
        resize: How the model's processor resizes images; matters where the frame is sized.
        setting: The frame's name in configurations; ``None``: no stage of riveg reads it.
    """

    frame: Frame
    resize: Resize
    setting: FrameName | None

    @classmethod
    def of_setting(cls, setting: FrameName, resize: Resize | None = None) -> Candidate:
        """The one that a configuration names."""
        frame = FRAMES[setting]
        return cls(frame, resize if resize and frame.is_sized else Resize(), setting)

    @property
    def name(self) -> str:
        """For people.

        >>> Candidate.of_setting("pixels-sent", Resize(max_pixels=802816)).name
        'pixels, resized by 28, up to 802816'
        """
        last = ", y first" if self.frame.rows_first else ""
        if not self.frame.is_sized:
            ends = self.frame.extent(ImageSize(1, 1), self.resize)
            return f"0 to {ends.width:g}{last}"
        if self.resize.multiple == 1:
            return f"pixels as sent{last}"
        usual = Resize(multiple=self.resize.multiple)
        least, most = self.resize.min_pixels, self.resize.max_pixels
        bounds = f", from {least}" if least != usual.min_pixels else ""
        bounds += f", up to {most}" if most != usual.max_pixels else ""
        return f"pixels, resized by {self.resize.multiple}{bounds}{last}"

    def reader(self, picture_side: int) -> StatedBoxes:
        """What reads its numbers, for images sent with at most so long a side."""
        return StatedBoxes(self.frame, self.resize, picture_side)


def _swapped(candidate: Candidate) -> Candidate:
    return replace(candidate, frame=replace(candidate.frame, rows_first=True), setting=None)


_PIXELS = tuple(
    Candidate.of_setting("pixels-sent", Resize(multiple=multiple)) for multiple in (1, 28, 32)
)

# Without norm999, which differs from norm1000 by a thousandth: nobody could tell, nor need to.
CANDIDATES: tuple[Candidate, ...] = (
    *_PIXELS,
    Candidate.of_setting("norm1000"),
    Candidate.of_setting("norm1000-yx"),
    Candidate.of_setting("norm1"),
    *map(_swapped, _PIXELS),
)
"""Frames that are looked for in any model's boxes."""


@dataclass(frozen=True, slots=True)
class Stated:
    """A box that a model states for something whose place is known.

    Args:
        numbers: Four, as the model writes them.
        truth: Where the thing is, in pixels of the upright image.
        image: The size of that image.
    """

    numbers: tuple[float, ...]
    truth: Box
    image: ImageSize


@dataclass(frozen=True, slots=True)
class Fit:
    """How stated boxes lie when they are read in one frame.

    Args:
        candidate: The frame.
        overlaps: Intersection over union of each box with the truth, in [0, 1]; 0 for a box that
            the frame does not hold.
        outside: How many it does not hold.
        corner_error: Mean distance of the upper left and lower right corners from the true ones, in
            pixels of the upright image; ``None`` where the frame holds no box.
    """

    candidate: Candidate
    overlaps: tuple[float, ...]
    outside: int
    corner_error: float | None

    @property
    def mean_iou(self) -> float:
        """Mean intersection over union, in [0, 1]."""
        return fmean(self.overlaps) if self.overlaps else 0.0


@dataclass(frozen=True, slots=True)
class FrameVerdict:
    """Which frame it is.

    Args:
        fits: Every candidate, the best first.
        alike: The best, and those that cannot be told from it; none: no frame fits, or there are
            too few boxes.
        has_own_ends: Whether no frame fits, but the boxes of each image would, with ends of its
            own (:func:`ends_of`): its processor resizes it in a way that no candidate knows.
    """

    fits: tuple[Fit, ...]
    alike: tuple[Candidate, ...]
    has_own_ends: bool = False

    def fit_of(self, candidate: Candidate) -> Fit:
        """How the boxes lie in one of the candidates."""
        return next(fit for fit in self.fits if fit.candidate == candidate)


def judge_frames(
    stated: Sequence[Stated], candidates: Sequence[Candidate], picture_side: int
) -> FrameVerdict:
    """Reads the boxes in every frame, and tells which one they are in.

    A frame is told from another one by its boxes' overlaps with the truth: their mean difference
    must be above two of its standard errors, and above what would not matter.

    Args:
        stated: The boxes.
        candidates: The frames.
        picture_side: The longer side of images as sent, in pixels.
    """
    fits = [_fit(stated, candidate, picture_side) for candidate in candidates]
    best, *others = fits = sorted(fits, key=lambda fit: -fit.mean_iou)
    if len(stated) < FEWEST_BOXES:
        return FrameVerdict(tuple(fits), ())
    if best.mean_iou < _FITS:
        return FrameVerdict(tuple(fits), (), _fits_own_ends(stated, picture_side))
    alike = [best, *(other for other in others if not _is_better(best, other))]
    return FrameVerdict(tuple(fits), tuple(fit.candidate for fit in alike))


def _fit(stated: Sequence[Stated], candidate: Candidate, picture_side: int) -> Fit:
    reader = candidate.reader(picture_side)
    overlaps: list[float] = []
    errors: list[float] = []
    for one in stated:
        regions, _ = reader.regions((one.numbers,), one.image, "probe")
        if not regions:
            overlaps.append(0.0)
            continue
        overlaps.append(box_iou(regions[0].box, one.truth))
        errors.append(_corner_distance(regions[0].box, one.truth))
    outside = len(overlaps) - len(errors)
    return Fit(candidate, tuple(overlaps), outside, fmean(errors) if errors else None)


def _corner_distance(one: Box, other: Box) -> float:
    upper = math.hypot(one.x_min - other.x_min, one.y_min - other.y_min)
    lower = math.hypot(one.x_max - other.x_max, one.y_max - other.y_max)
    return (upper + lower) / 2


def _is_better(best: Fit, other: Fit) -> bool:
    gaps = [one - two for one, two in zip(best.overlaps, other.overlaps, strict=True)]
    error = stdev(gaps) / math.sqrt(len(gaps))
    return fmean(gaps) > max(_SLIGHTLY, _SURELY * error)


def _fits_own_ends(stated: Sequence[Stated], picture_side: int) -> bool:
    overlaps: list[float] = []
    for size in dict.fromkeys(one.image for one in stated):
        own = [one for one in stated if one.image == size]
        overlaps += _fit(own, _ending_at(ends_of(own)), picture_side).overlaps
    return fmean(overlaps) >= _FITS


def _ending_at(ends: ImageSize) -> Candidate:
    return Candidate(Frame("", lambda _sent, _resize: ends), Resize(), None)


def ends_of(stated: Sequence[Stated], *, rows_first: bool = False) -> ImageSize:
    """The numbers that an image's right and lower edge seem to have in the boxes stated in it.

    They show a resizing that no candidate knows, such as bounds that a server was started with.

    Args:
        stated: Boxes of one image, one at least.
        rows_first: Whether a box is y, x, y, x.
    """
    order = replace(FRAMES["norm1"], rows_first=rows_first)
    edges = [order.edges(one.numbers) for one in stated]
    across, down = (
        median(box[2] / one.truth.x_max for box, one in zip(edges, stated, strict=True)),
        median(box[3] / one.truth.y_max for box, one in zip(edges, stated, strict=True)),
    )
    width, height = stated[0].image
    return ImageSize(round(across * width), round(down * height))


def chance_of(right: int, asked: int, choices: int) -> float:
    """The probability that a guesser has so many right answers or more.

    >>> chance_of(2, 2, 4)
    0.0625
    """
    share = 1 / choices
    return sum(
        math.comb(asked, count) * share**count * (1 - share) ** (asked - count)
        for count in range(right, asked + 1)
    )


def is_more_than_chance(right: int, asked: int, choices: int) -> bool | None:
    """Whether right answers are no guesses; ``None``: nobody can tell.

    >>> [is_more_than_chance(right, 8, 8) for right in (8, 4, 1)]
    [True, None, False]
    """
    chance = chance_of(right, asked, choices)
    return True if chance < _BY_CHANCE else False if chance > _MAY_BE_CHANCE else None
