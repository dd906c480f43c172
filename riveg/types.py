"""The records that flow through a run: frozen values, edited by nobody.

``None`` means *not answered* (the stage did not run, or an :class:`Issue` says why), ``()`` means
*answered: nothing there*. No box or number ever stands for "nothing".

One file because the records hold one another, and who reads riveg reads them first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from riveg.geometry.arrays import Bitmap

SCHEMA_VERSION = 3
"""Version of the records on disk; raised whenever a field is added or changes its meaning."""

OLDEST_SCHEMA = 1
"""The oldest version whose records are still read: they lack fields that came later."""

UNSEEN = ":unseen"
"""End of the source of an entailment that was decided by :attr:`Entailment.is_unseen`."""

_SHOWN = 60
"""Characters of a text that a sample shows of itself."""

WARNING = "warning"
"""Kind of an Issue beside a whole answer: something to know, no failure, nothing to ask again."""


_MOST_SIDE = 1_000_000
"""Of an image or a mask, in pixels: more than any image that riveg opens."""

MOST_MASKED = 100_000_000
"""Pixels of a mask: more than any image that riveg opens. Some ten bytes each trace its outline."""

_MOST_PATCHES = 1024

_MOST_TOKENS = 2**53


def _require_sides(*sides: int | None) -> None:
    for side in sides:
        if side is not None and not 1 <= side <= _MOST_SIDE:
            raise ValueError(f"a side needs 1 to {_MOST_SIDE} pixels")


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of tokens ``[start, end)``, ``0 <= start < end``."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.end > _MOST_TOKENS:
            raise ValueError(f"a span ends at token {_MOST_TOKENS} at most")
        if not 0 <= self.start < self.end:
            raise ValueError(f"a span needs 0 <= start < end, got [{self.start}, {self.end})")


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in absolute pixels of the upright image, continuous edges, xyxy.

    The area is ``width * height``: no pixel is added. Both sides are positive.
    """

    x_min: float
    y_min: float
    x_max: float
    y_max: float

    def __post_init__(self) -> None:
        edges = (self.x_min, self.y_min, self.x_max, self.y_max)
        if not all(map(math.isfinite, edges)):
            raise ValueError(f"a box needs finite edges, got {edges}")
        if self.x_min >= self.x_max or self.y_min >= self.y_max:
            raise ValueError(f"a box needs x_min < x_max and y_min < y_max, got {edges}")
        if not math.isfinite(self.area):
            raise ValueError(f"a box needs a finite area, got {edges}")

    @property
    def width(self) -> float:
        return self.x_max - self.x_min

    @property
    def height(self) -> float:
        return self.y_max - self.y_min

    @property
    def area(self) -> float:
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Mask:
    """Pixels of the upright image as compressed COCO run lengths (column-major).

    Sides are 1 to 1 000 000 pixels, and a mask has 100 000 000 at most.

    ``source`` names what made it, for example ``grabcut`` or ``ellipse`` where that fell back.
    """

    height: int
    width: int
    counts: str
    source: str | None = None

    def __post_init__(self) -> None:
        _require_sides(self.width, self.height)
        if self.width * self.height > MOST_MASKED:
            raise ValueError(f"a mask has {MOST_MASKED} pixels at most")

    def to_numpy(self) -> Bitmap:
        """True where a pixel belongs to the mask. *Shape:* ``(height, width)``, bool.

        Raises:
            ValueError: If the run lengths do not fill the mask exactly.
        """
        from riveg.geometry.run_lengths import bitmap

        return bitmap(self.counts, self.height, self.width)

    def __repr__(self) -> str:
        return f"<mask {self.width}x{self.height} by {self.source or 'unknown'}>"


@dataclass(frozen=True, slots=True)
class HeatMap:
    """How much each patch of an image speaks for an entity: what a region was found by.

    Patches are of equal size and fill the upright image, 1 to 1 024 each way. ``values`` is a byte
    a patch in reading order as base64: 255 where it speaks for it most, 0 where not at all.
    """

    rows: int
    columns: int
    values: str

    def __post_init__(self) -> None:
        if not all(1 <= side <= _MOST_PATCHES for side in (self.rows, self.columns)):
            raise ValueError(f"a heat map needs 1 to {_MOST_PATCHES} patches each way")
        # Four letters for every three bytes; the values themselves are read when they are needed.
        if len(self.values) != -(-self.rows * self.columns // 3) * 4:
            raise ValueError(f"a heat map needs {self.rows} x {self.columns} bytes as base64")

    def __repr__(self) -> str:
        return f"<heat map of {self.columns}x{self.rows} patches>"


@dataclass(frozen=True, slots=True)
class Region:
    """One place in the image: a box, how sure (``[0, 1]``), its pixels, and what found it.

    ``guess``: nothing in the image supports the box; it has no mask. ``heat``: what the backend saw
    it by, where it has such a thing and was told to keep it.
    """

    box: Box
    score: float | None = None
    mask: Mask | None = None
    source: str | None = None
    guess: bool = False
    heat: HeatMap | None = None

    def __repr__(self) -> str:
        box = self.box
        edges = f"{box.x_min:g}, {box.y_min:g}, {box.x_max:g}, {box.y_max:g}"
        score = "" if self.score is None else f" {self.score:.2f}"
        mask = "" if self.mask is None else f", {self.mask!r}"
        what = "guess" if self.guess else "region"
        return f"<{what} ({edges}){score} by {self.source or 'unknown'}{mask}>"


@dataclass(frozen=True, slots=True)
class Entailment:
    """P(the image shows the entity) in ``[0, 1]``, and the gate's decision."""

    probability: float | None
    groundable: bool
    source: str | None = None

    @property
    def is_unseen(self) -> bool:
        """Whether the gate said no because nothing seen supports the entity, whatever P is."""
        return (self.source or "").endswith(UNSEEN)


@dataclass(frozen=True, slots=True)
class Expression:
    """What a rewriter says of an entity: a short phrase, perhaps a longer description.

    ``source`` says who wrote it; ``template`` is never a language model.
    """

    text: str
    description: str | None = None
    source: str | None = None


ReviewKind = Literal["span", "type", "region"]
"""What a second look is at: which words, of which type, where in the image."""

REVIEW_KINDS: tuple[ReviewKind, ...] = get_args(ReviewKind)
"""In the order in which they are reviewed."""


@dataclass(frozen=True, slots=True)
class Before:
    """What an entity was before a review changed it; only what that kind of review can change.

    ``text`` and ``span`` of a review of the span, ``label`` and ``fine_label`` of the type,
    ``regions`` of the region.
    """

    text: str | None = None
    span: Span | None = None
    label: str | None = None
    fine_label: str | None = None
    regions: tuple[Region, ...] | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """A second look at one thing of an entity, because it was uncertain.

    ``uncertainty`` is that of the first answer, in ``[0, 1]``. ``outcome``: ``changed``,
    ``confirmed``, or ``unsure``, which leaves things as they are. ``before`` is there where it was
    changed.
    """

    kind: ReviewKind
    uncertainty: float
    outcome: Literal["changed", "confirmed", "unsure"]
    before: Before | None = None


@dataclass(frozen=True, slots=True)
class Entity:
    """A named entity of one sample; ``id`` is stable within the sample.

    ``label_scores`` is the label distribution (sums to 1); ``regions`` are best first.
    ``fine_label`` is the type below ``label`` in a label set of two levels, ``None`` where nobody
    has said one; ``fine_label_scores`` is the distribution of fine labels (sums to 1).
    ``uncertainty`` holds, by ``span`` and ``type``, how far passes of a tagger with dropout differ,
    in ``[0, 1]``. ``reviews`` are the second looks at it, ``()`` where none was worth it.
    """

    id: str
    text: str
    label: str
    span: Span
    score: float | None = None
    label_scores: Mapping[str, float] | None = None
    fine_label: str | None = None
    fine_label_scores: Mapping[str, float] | None = None
    expression: str | None = None
    description: str | None = None
    expression_source: str | None = None
    entailment: Entailment | None = None
    regions: tuple[Region, ...] | None = None
    uncertainty: Mapping[str, float] | None = None
    reviews: tuple[Review, ...] | None = None


class ImageSize(NamedTuple):
    """The sides of an upright image, in pixels; arrays of it are ``(height, width, ...)``."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image by its path below an image folder, and the sides of the upright image, in pixels.

    The sides, 1 to 1 000 000, are ``None`` until a stage has opened the image.
    """

    path: str
    width: int | None = None
    height: int | None = None

    def __post_init__(self) -> None:
        _require_sides(self.width, self.height)

    @property
    def size(self) -> ImageSize | None:
        """Both sides; ``None`` until a stage has opened the image."""
        if self.width is None or self.height is None:
            return None
        return ImageSize(self.width, self.height)


@dataclass(frozen=True, slots=True)
class Observation:
    """Something plain vision found in the image, before anybody asked for an entity.

    ``kind`` is ``face``, ``person``, ``object`` or ``text``; ``text`` holds the OCR text that was
    read, ``label`` the class of an object.
    """

    kind: str
    box: Box
    score: float | None = None
    text: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Issue:
    """Why an answer is missing: the stage, the entity (``None``: all of the sample), the reason."""

    stage: str
    entity_id: str | None
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Sample:
    """The text and image of a post, and everything that the stages have answered about it so far.

    ``offsets`` are the tokens' half-open character ranges in ``text``. ``reasoning`` is what an
    extractor wrote before its answer. Gold is never in here.
    """

    id: str
    text: str
    tokens: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]
    image: ImageRef | None = None
    caption: str | None = None
    knowledge: str | None = None
    observations: tuple[Observation, ...] | None = None
    reasoning: str | None = None
    entities: tuple[Entity, ...] | None = None
    issues: tuple[Issue, ...] = ()

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= _SHOWN else f"{self.text[:_SHOWN]}..."
        found = "not tagged" if self.entities is None else f"{len(self.entities)} entities"
        issues = f", {len(self.issues)} issues" if self.issues else ""
        return f"<sample {self.id!r}: {text!r}, {found}{issues}>"


@dataclass(frozen=True, slots=True)
class GoldEntity:
    """An annotated entity; ``boxes``: ``()`` for ungroundable, ``None`` in sets without boxes."""

    text: str
    label: str
    span: Span
    fine_label: str | None = None
    boxes: tuple[Box, ...] | None = None
    masks: tuple[Mask, ...] | None = None


@dataclass(frozen=True, slots=True)
class Gold:
    """The annotation of one sample, joined to it by ``sample_id``."""

    sample_id: str
    entities: tuple[GoldEntity, ...]
