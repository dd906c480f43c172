"""``riveg train box-prior``: where entities of each type lie, from their boxes alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from riveg.datasets.dataset import Row, usable_gold
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.evaluation.bootstrap import RESAMPLES, Interval, Tally
from riveg.evaluation.counts import NOTHING, Count
from riveg.files import write_atomically
from riveg.geometry.boxes import Boxes, pairwise_iou
from riveg.nn.box_prior import BoxPriors, PriorBox
from riveg.training.config import Course, TrainingConfig
from riveg.types import Box, ImageSize

_HIT = 0.5
_BY = _FIRST, _ANY = "first box", "all boxes"
_MISJUDGED = (0.7, 0.85, 1.0, 1.2, 1.4)
"""Guessed widths over true widths: from a face, a body's width is only guessed."""
_REACHES = tuple(step / 10 for step in range(10, 41))


class BoxPriorTrainingConfig(TrainingConfig):
    """What to learn from, and how finely.

    ``data``: with boxes and declared image sizes. ``boxes``: how many a type.
    ``grid``: candidate boxes have their edges on multiples of 1 / grid. ``person_label``: the type
    whose boxes are bodies.
    """

    name: ClassVar[str] = "box-prior"
    summary: ClassVar[str] = "where entities of each type lie (`ground: evidence`)"
    packages: ClassVar[tuple[str, ...]] = ()

    boxes: int = Field(default=5, ge=1)
    grid: int = Field(default=40, ge=4)
    person_label: str = "PER"

    def train(self, course: Course) -> str:
        """Fits the priors on train and measures them on dev: ``prior.json``.

        Returns:
            The text of their card.

        Raises:
            UserError: If the data has no boxes or declares no image sizes.
        """
        train, dev = (
            read_boxed_entities(self.data, self.train_split),
            read_boxed_entities(self.data, self.dev_split),
        )
        priors = BoxPriors(
            boxes=fit_box_priors(train, self.boxes, grid=self.grid),
            reaches=fit_body_reaches(train, self.person_label),
        )
        text = priors.model_dump_json(indent=1) + "\n"
        write_atomically(course.out / "prior.json", [text.encode()])
        return _card(self, priors, train, dev)


@dataclass(frozen=True, slots=True)
class BoxedEntity:
    """A groundable entity: its type, its boxes, and the size of its image."""

    label: str
    boxes: tuple[Box, ...]
    image: ImageSize

    @property
    def relative(self) -> Boxes:
        """The boxes in shares of the image's sides, xyxy, in [0, 1].

        *Shape:* ``(boxes, 4)``.
        """
        edges = [(box.x_min, box.y_min, box.x_max, box.y_max) for box in self.boxes]
        relative: Boxes = np.array(edges, dtype=np.float64) / np.array((*self.image, *self.image))
        return relative


BoxedImages = Sequence[Sequence[BoxedEntity]]
"""The groundable entities of each image."""


def read_boxed_entities(data: str, split: str) -> tuple[tuple[BoxedEntity, ...], ...]:
    """The groundable entities of every image of a dataset's split that has any.

    Raises:
        UserError: If the data cannot be read, declares no image sizes, or no entity has a box.
    """
    rows = open_dataset(data, split=split).rows()
    images = tuple(found for found in map(_boxed_entities, rows) if found)
    if not images:
        raise UserError(f"{data} {split}: no entity has a box")
    return images


def _boxed_entities(row: Row) -> tuple[BoxedEntity, ...]:
    gold = usable_gold(row)
    boxed = [entity for entity in gold.entities if entity.boxes] if gold else []
    if not boxed:
        return ()
    if row.size is None:
        raise UserError(
            f"{row.place}: {row.sample.id} has boxes, but its annotation declares no picture size"
        )
    return tuple(BoxedEntity(entity.label, entity.boxes or (), row.size) for entity in boxed)


def fit_box_priors(
    images: BoxedImages, count: int, *, grid: int = 40
) -> dict[str, tuple[PriorBox, ...]]:
    """Boxes by type, and under ``*`` those of all types together.

    The first box hits the most entities of the type (IoU >= 0.5 with one of their boxes); each
    further box hits the most of those that are still missed. There are fewer than ``count`` boxes
    where no entity is missed any more.

    Args:
        images: Groundable entities.
        count: Boxes a type, at least 1.
        grid: Candidates are the training boxes with their edges rounded to 1 / grid.
    """
    by_label: dict[str, list[Boxes]] = defaultdict(list)
    for entity in (entity for image in images for entity in image):
        by_label[entity.label].append(entity.relative)
        by_label["*"].append(entity.relative)
    return {label: _covering_boxes(by_label[label], count, grid) for label in sorted(by_label)}


def _covering_boxes(entities: Sequence[Boxes], count: int, grid: int) -> tuple[PriorBox, ...]:
    every = np.concatenate(entities)
    candidates = np.unique(np.round(every * grid) / grid, axis=0)
    wide, high = candidates[:, 2] > candidates[:, 0], candidates[:, 3] > candidates[:, 1]
    candidates = candidates[wide & high]
    hits = _hits(candidates, entities)
    missed = np.ones(len(entities), dtype=bool)
    chosen: list[PriorBox] = []
    while missed.any() and len(chosen) < count:
        gains = hits[:, missed].sum(axis=1)
        best = int(gains.argmax())
        if not gains[best]:
            break
        x_min, y_min, x_max, y_max = (round(float(edge), 6) for edge in candidates[best])
        share = round(float(hits[best].mean()), 4)
        chosen.append(PriorBox(edges=(x_min, y_min, x_max, y_max), share=share))
        missed &= ~hits[best]
    return tuple(chosen)


def _hits(candidates: Boxes, entities: Sequence[Boxes]) -> NDArray[np.bool_]:
    """Whether each candidate hits one of each entity's boxes.

    *Shape:* ``(candidates, entities)``
    """
    owners = np.repeat(np.arange(len(entities)), [len(boxes) for boxes in entities])
    every = np.concatenate(entities)
    hits = np.zeros((len(candidates), len(entities)), dtype=bool)
    for row, candidate in enumerate(candidates):
        hits[row, owners[pairwise_iou(candidate[None], every)[0] >= _HIT]] = True
    return hits


def fit_body_reaches(images: BoxedImages, label: str) -> tuple[float, ...]:
    """How far down bodies reach, for one, two, and three or more people in an image.

    In body widths below the upper edge. The rule gets only the upper edge and the width of a body,
    the width wrong by several factors; a hit is a box with IoU >= 0.5. Of equal shares of hits the
    one with the higher mean IoU is taken.
    """
    return tuple(_best_reach(bodies) for bodies in _bodies_by_people(images, label) if bodies)


@dataclass(frozen=True, slots=True)
class _Body:
    """A body's sides, and the height of the image below its upper edge, in pixels."""

    width: float
    height: float
    below: float


def _bodies_by_people(images: BoxedImages, label: str) -> list[list[_Body]]:
    """Bodies of images with one, two, and three or more different person boxes."""
    bodies: list[list[_Body]] = [[], [], []]
    for image in images:
        # A dictionary: one box may belong to two names, and a set of boxes has no order.
        people = {
            box: _Body(box.width, box.height, entity.image.height - box.y_min)
            for entity in image
            if entity.label == label
            for box in entity.boxes
        }
        if people:
            bodies[min(3, len(people)) - 1] += people.values()
    return bodies


def _best_reach(bodies: Sequence[_Body]) -> float:
    return max(_REACHES, key=lambda reach: _reach_score(bodies, reach))


def _reach_score(bodies: Sequence[_Body], reach: float) -> tuple[float, float]:
    """Share of hits and mean IoU, over all bodies and misjudged widths."""
    sides = np.array([(body.width, body.height, body.below) for body in bodies])
    widths, heights, below = (column[:, None] for column in sides.T)
    guessed = widths * np.array(_MISJUDGED)
    down = np.minimum(below, reach * guessed)
    common = np.minimum(guessed, widths) * np.minimum(down, heights)
    overlap = common / (guessed * down + widths * heights - common)
    return float((overlap >= _HIT).mean()), float(overlap.mean())


def reached_edge(
    images: BoxedImages, label: str, reaches: Sequence[float]
) -> list[tuple[int, float, float]]:
    """How often bodies reach the image's lower edge.

    An edge counts as reached at 97 % of the way from the upper edge of the body.

    Returns:
        For each number of people, the number of bodies, and the shares of them that reach the edge
        in gold and by the rule, in [0, 1].
    """
    rows: list[tuple[int, float, float]] = []
    groups = [bodies for bodies in _bodies_by_people(images, label) if bodies]
    for bodies, reach in zip(groups, reaches, strict=False):
        true = [body.height >= 0.97 * body.below for body in bodies]
        ruled = [0.97 * body.below <= reach * body.width for body in bodies]
        rows.append((len(bodies), sum(true) / len(bodies), sum(ruled) / len(bodies)))
    return rows


@dataclass(frozen=True, slots=True)
class HitRate:
    """How many entities of a type boxes hit.

    Args:
        entities: Their number.
        percent: Of them, those that are hit.
        interval: Of the percentage, by bootstrap over images.
    """

    entities: int
    percent: float
    interval: Interval


def hit_rates(
    priors: Mapping[str, Sequence[PriorBox]], images: BoxedImages
) -> dict[str, tuple[HitRate, HitRate]]:
    """By type: what the first box hits, and what any of the boxes hits."""
    labels = sorted({entity.label for image in images for entity in image})
    edges = {
        label: np.array([prior.edges for prior in priors.get(label, priors["*"])])
        for label in labels
    }
    tally = Tally()
    for image in images:
        counts = dict.fromkeys(((label, by) for label in labels for by in _BY), NOTHING)
        for entity in image:
            hits = _hits(edges[entity.label], [entity.relative])
            for by, hit in zip(_BY, (hits[0, 0], hits.any()), strict=True):
                counts[entity.label, by] += Count(int(hit), 1, 1)
        tally.add({f"{by} {label}": count for (label, by), count in counts.items()})
    scores = tally.scores()

    def rate(name: str) -> HitRate:
        score = scores[name]
        return HitRate(score.count.gold, score.count.precision, score.precision)

    return {label: (rate(f"{_FIRST} {label}"), rate(f"{_ANY} {label}")) for label in labels}


def _card(
    config: BoxPriorTrainingConfig, priors: BoxPriors, train: BoxedImages, dev: BoxedImages
) -> str:
    on_train, on_dev = hit_rates(priors.boxes, train), hit_rates(priors.boxes, dev)
    rows = [
        f"| {label} | {on_train[label][0].entities} | {on_train[label][0].percent:.1f} "
        f"| {on_train[label][1].percent:.1f} | {first.entities} "
        f"| {first.percent:.1f} {first.interval} | {any_of.percent:.1f} {any_of.interval} |"
        for label, (first, any_of) in on_dev.items()
        if label in on_train
    ]
    edges = reached_edge(train, config.person_label, priors.reaches)
    reaches = [
        f"| {people} | {count} | {reach:g} | {true:.1%} | {ruled:.1%} |"
        for people, reach, (count, true, ruled) in zip(
            ("1", "2", "3 or more"), priors.reaches, edges, strict=False
        )
    ]
    return "\n".join((*_introduction(config), *_TABLE, *rows, *_REACH_TABLE, *reaches, ""))


def _introduction(config: BoxPriorTrainingConfig) -> tuple[str, ...]:
    dataset = open_dataset(config.data)
    return (
        "# Box prior",
        "",
        "Where entities of each type lie, for `ground: evidence` where it sees nothing.",
        "Learnt from boxes and declared picture sizes alone; no picture and no text is in it.",
        "",
        f"- Data: {dataset.name} {dataset.version or ''}".rstrip()
        + ", boxes of train; measured on dev.",
        f"- Method: greedy maximum coverage, {config.boxes} boxes a type, edges on a grid of "
        f"1/{config.grid}; nothing is random.",
        "- Metric: percent of groundable entities with IoU >= 0.5 to one of their boxes; on dev "
        f"with 95 % intervals, by bootstrap over images, {RESAMPLES} resamples.",
        "",
    )


_TABLE = (
    "| type | train entities | first box | all boxes | dev entities | first box | all boxes |",
    "|---|---|---|---|---|---|---|",
)
_REACH_TABLE = (
    "",
    "Body reach, in body widths below a body's upper edge (see `riveg/vision/plain/bodies.py`),",
    "fitted on train for IoU >= 0.5 with widths misjudged by factors of "
    + ", ".join(map(str, _MISJUDGED))
    + ";",
    "and the share of train's bodies that reach the lower edge, true and by the rule.",
    "",
    "| people | bodies | reach | lower edge, true | by the rule |",
    "|---|---|---|---|---|",
)
