"""Posts as what MNER-QG learns from: windows of every query, with their spans and anchors."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from riveg.nn.anchors import AnchorGrid, AnchorTargets
from riveg.nn.mner_qg import ANCHOR, BOX, END, EXISTENCE, GROUNDED, MATCH, START
from riveg.nn.mner_qg_inputs import QueriedPost, collate_queries
from riveg.nn.query_windows import QueryWindow, QueryWindows
from riveg.protocols import ImageSource
from riveg.training.augmentation import Change, Cropping
from riveg.training.mner_qg.data import QueryPost, label_of, shares
from riveg.training.pictures import open_again
from riveg.types import Box
from riveg.vision.runtime.square_images import Preparation


class WindowGold(NamedTuple):
    """What is right about a window.

    ``spans``: first and last word of each entity of the type, from the window's first word on;
    ``boxes``: in pixels of the picture, none for no region; ``None``: nobody knows.
    """

    spans: tuple[tuple[int, int], ...]
    boxes: tuple[Box, ...] | None


@dataclass(frozen=True, slots=True)
class QueryRow:
    """A post with all its queries, which share its picture."""

    post: QueryPost
    windows: tuple[QueryWindow, ...]
    golds: tuple[WindowGold, ...]

    @property
    def pieces(self) -> int:
        """All pieces of its windows."""
        return sum(len(window.input_ids) for window in self.windows)

    def cropped(self, cropping: Cropping, chance: random.Random) -> Change | None:
        """The part of its picture that is seen at a visit; ``None`` without one."""
        if self.post.size is None:
            return None
        boxes = tuple(box for gold in self.golds for box in gold.boxes or ())
        return cropping.cropped(self.post.size, boxes, chance)


class RowMaker:
    """Makes rows of posts, and batches of rows.

    Args:
        windows: Cuts texts.
        labels: The type of each query, in their order.
        level: On which the types are.
        grid: The anchors; ``None``: no region is learnt.
        images: Where pictures come from.
        preparation: How the backbone takes them.
        padding_id: The tokenizer's piece for padding.
    """

    def __init__(
        self,
        windows: QueryWindows,
        labels: Sequence[str],
        *,
        level: str,
        grid: AnchorGrid | None,
        images: ImageSource,
        preparation: Preparation,
        padding_id: int,
    ) -> None:
        self._windows = windows
        self._labels = tuple(labels)
        self._level = level
        self._grid = grid
        self._images = images
        self._preparation = preparation
        self._padding_id = padding_id

    def row(self, post: QueryPost) -> QueryRow:
        """A post with what is right about it."""
        windows = self._windows(post.sample.tokens)
        return QueryRow(post, windows, tuple(map(partial(self._gold, post), windows)))

    def queried(self, row: QueryRow, change: Change | None = None) -> QueriedPost:
        """A row as the network reads it; its picture is opened, and changed where that is asked.

        Raises:
            UserError: If a picture that could be opened before cannot be any more.
        """
        image = row.post.sample.image
        if row.post.size is None or image is None:
            return QueriedPost(row.windows, None)
        pixels = open_again(self._images, image)
        if change is not None:
            pixels = change.pixels(pixels)
        return QueriedPost(row.windows, self._preparation.prepare(pixels)[0])

    def batch(
        self, rows: Sequence[QueryRow], changes: Sequence[Change | None]
    ) -> dict[str, Tensor]:
        """Inputs and gold of rows, as :meth:`riveg.nn.mner_qg.MnerQg.losses` takes them.

        Args:
            rows: At least one.
            changes: Of each row's picture; ``None`` where it has none that can be used.
        """
        posts = [self.queried(row, change) for row, change in zip(rows, changes, strict=True)]
        batch = collate_queries(posts, padding_id=self._padding_id)
        golds = [gold for row in rows for gold in row.golds]
        count, words = batch["words"].shape
        start, end = (torch.zeros(count, words, dtype=torch.bool) for _ in range(2))
        match = torch.zeros(count, words, words, dtype=torch.bool)
        for number, gold in enumerate(golds):
            for first, last in gold.spans:
                start[number, first] = end[number, last] = match[number, first, last] = True
        batch |= {START: start, END: end, MATCH: match, EXISTENCE: start.any(dim=1)}
        if self._grid is None:
            return batch
        targets = [
            _targets(self._grid, gold, change)
            for row, change in zip(rows, changes, strict=True)
            for gold in row.golds
        ]
        return batch | _regions(targets, len(self._grid))

    def _gold(self, post: QueryPost, window: QueryWindow) -> WindowGold:
        label = self._labels[window.query]
        own = [one.span for one in post.gold.entities if label_of(one, self._level) == label]
        words = window.words
        inside = [span for span in own if words.start <= span.start and span.end <= words.stop]
        is_begun = any(span.start in window.owned for span in own)
        spans = tuple((span.start - words.start, span.end - 1 - words.start) for span in inside)
        return WindowGold(
            spans,
            self._boxes(post, label, has_entity=bool(spans) or is_begun),
        )

    def _boxes(self, post: QueryPost, label: str, *, has_entity: bool) -> tuple[Box, ...] | None:
        if self._grid is None or post.size is None:
            return None
        return post.inside(label) if has_entity else ()


def _targets(grid: AnchorGrid, gold: WindowGold, change: Change | None) -> AnchorTargets | None:
    """The anchors of a window's boxes, none for no region; ``None``: nobody knows."""
    if gold.boxes is None or change is None:
        return None
    return grid.targets([shares(change.box(box), change.size) for box in gold.boxes])


def _regions(found: Sequence[AnchorTargets | None], anchors: int) -> dict[str, Tensor]:
    right = torch.zeros(len(found), anchors + 1, dtype=torch.bool)
    boxes = torch.zeros(len(found), anchors, 4)
    for number, targets in enumerate(found):
        right[number, -1] = targets is None or not targets.numbers
        if targets is not None:
            for anchor, offsets in zip(targets.numbers, targets.offsets, strict=True):
                right[number, anchor] = True
                boxes[number, anchor] = torch.tensor(offsets)
    known = torch.tensor([targets is not None for targets in found])
    return {GROUNDED: known, ANCHOR: right, BOX: boxes}
