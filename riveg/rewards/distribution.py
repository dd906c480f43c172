"""What rewards would say of answers that are there, and the traps in which they say nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, pstdev

from riveg.errors import UserError
from riveg.geometry.boxes import box_iou
from riveg.rewards import PARTS
from riveg.rewards.parts import Marked, mark
from riveg.rewards.rows import RewardRow
from riveg.types import Box

_MOST = 0.5
"""From this share of the answers, or of their boxes, a trap is named."""

_FITS = 0.7
"""Median IoU from which boxes count as the same in another frame."""

_AT_EDGE = 0.02
"""A box of a whole image begins this near to its upper left corner, by its lower right one."""

_NEAR = 0.05
"""Share of a factor within which others count as the same."""

_FEWEST = 3
"""Boxes, or answers to one question, below which nothing is said of them."""


@dataclass(frozen=True, slots=True)
class PartSummary:
    """One part over all answers: mean, standard deviation, and shares in [0, 1] of the answers."""

    name: str
    mean: float
    deviation: float
    zero: float
    below_half: float
    below_one: float
    one: float


@dataclass(frozen=True, slots=True)
class RewardCheck:
    """What was found.

    Args:
        answers: How many there are.
        unread: Of how many of them nothing can be read.
        parts: In the order of :data:`~riveg.rewards.PARTS`.
        traps: One line each.
    """

    answers: int
    unread: int
    parts: tuple[PartSummary, ...]
    traps: tuple[str, ...]


def check_rewards(rows: Iterable[RewardRow]) -> RewardCheck:
    """The distribution of each part, and the usual traps.

    Raises:
        UserError: If a gold cannot be read.
    """
    marked: list[Marked] = []
    groups: dict[str, list[float]] = defaultdict(list)
    texts: set[str] = set()
    for row in rows:
        marked.append(_marked(row))
        texts.add(row.answer)
        if row.group is not None:
            groups[row.group].append(marked[-1].parts.gmner)
    values = {name: [float(getattr(one.parts, name)) for one in marked] for name in PARTS}
    unread = sum(not one.is_read for one in marked)
    traps = [*_answers(len(marked), unread, texts)]
    traps += _constant(values, all_unread=unread == len(marked))
    traps += _boxes([both for one in marked for both in one.boxes])
    traps += _spreads(groups)
    summaries = tuple(_summary(name, found) for name, found in values.items())
    return RewardCheck(len(marked), unread, summaries, tuple(traps))


def _marked(row: RewardRow) -> Marked:
    try:
        return mark(row.answer, row.gold)
    except UserError as error:
        raise UserError(f"{row.where}: {error}") from error


def _summary(name: str, values: Sequence[float]) -> PartSummary:
    number = len(values)
    return PartSummary(
        name,
        fmean(values),
        pstdev(values),
        zero=sum(value == 0 for value in values) / number,
        below_half=sum(0 < value < 0.5 for value in values) / number,
        below_one=sum(0.5 <= value < 1 for value in values) / number,
        one=sum(value == 1 for value in values) / number,
    )


def _answers(number: int, unread: int, texts: set[str]) -> Iterator[str]:
    if unread >= _MOST * number:
        yield (
            f"nothing can be read of {unread} of {number} answers, which get 0 in every part: are "
            "they cut off, or in a form of their own?"
        )
    if len(texts) == 1 and number > 1:
        yield "all answers are the same text"


def _constant(values: Mapping[str, Sequence[float]], *, all_unread: bool) -> Iterator[str]:
    """Parts that tell no answer from another, unless all are right."""
    for name, found in values.items():
        if len(found) < 2 or all_unread or len({*found}) > 1 or found[0] == 1:
            continue
        what = "always 0" if found[0] == 0 else f"always the same ({found[0]:g})"
        yield f"{name} is {what}: nothing can be learnt from it"


def _boxes(boxes: Sequence[tuple[Box, Box]]) -> Iterator[str]:
    """Why boxes of entities with the right words miss."""
    whole = [both for both in boxes if _is_whole(*both)]
    if len(whole) >= max(_FEWEST, _MOST * len(boxes)):
        yield (
            f"{len(whole)} of {len(boxes)} boxes begin in the upper left corner and hold gold's "
            "whole box: are they boxes of the whole picture?"
        )
    rest = [both for both in boxes if not _is_whole(*both)]
    if len(rest) < _FEWEST or median(box_iou(*both) for both in rest) >= 0.5:
        return
    for turned, how in ((False, ""), (True, " once x and y are swapped")):
        fits = [_Fit.of(_swapped(said) if turned else said, gold) for said, gold in rest]
        if median(fit.iou for fit in fits) >= _FITS:
            good = [fit for fit in fits if fit.iou >= _FITS]
            yield (
                f"boxes stand in another frame than gold: the median IoU is "
                f"{median(box_iou(*both) for both in rest):.2f}, and "
                f"{median(fit.iou for fit in fits):.2f}{how} with edges times "
                f"{_factor([fit.across for fit in good])} (x) and "
                f"{_factor([fit.down for fit in good])} (y)"
            )
            return


def _factor(values: Sequence[float]) -> str:
    """A factor, or between which ones it lies where it is not nearly the same for all boxes."""
    middle = median(values)
    near = sum(abs(value - middle) <= _NEAR * middle for value in values)
    if near >= _MOST * len(values):
        return f"{middle:.3g}"
    return f"{min(values):.3g} to {max(values):.3g}, by picture"


def _is_whole(said: Box, gold: Box) -> bool:
    at_corner = said.x_min <= _AT_EDGE * said.x_max and said.y_min <= _AT_EDGE * said.y_max
    holds = said.x_max >= gold.x_max and said.y_max >= gold.y_max
    return at_corner and holds and box_iou(said, gold) < 0.5


@dataclass(frozen=True, slots=True)
class _Fit:
    """A box with its edges times two numbers, as near to gold as can be, and its IoU then."""

    across: float
    down: float
    iou: float

    @classmethod
    def of(cls, said: Box, gold: Box) -> _Fit:
        across = _times((said.x_min, said.x_max), (gold.x_min, gold.x_max))
        down = _times((said.y_min, said.y_max), (gold.y_min, gold.y_max))
        if across <= 0 or down <= 0:
            return cls(across, down, 0.0)
        fitted = Box(said.x_min * across, said.y_min * down, said.x_max * across, said.y_max * down)
        return cls(across, down, box_iou(fitted, gold))


def _times(edges: tuple[float, float], wanted: tuple[float, float]) -> float:
    """The factor of least squares."""
    both = zip(edges, wanted, strict=True)
    return sum(one * other for one, other in both) / sum(edge * edge for edge in edges)


def _swapped(box: Box) -> Box:
    return Box(box.y_min, box.x_min, box.y_max, box.x_max)


def _spreads(groups: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """Questions whose answers all get the same, so that their advantages are all 0."""
    several = [found for found in groups.values() if len(found) >= _FEWEST]
    alike = sum(len({*found}) == 1 for found in several)
    if several and alike >= _MOST * len(several):
        yield (
            f"of {len(several)} questions with {_FEWEST} answers or more, {alike} have the same "
            "gmner for all of them: nothing can be learnt from these"
        )
