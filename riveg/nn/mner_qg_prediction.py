"""MNER-QG over many posts: spans, existence and a region for each query."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from riveg.nn.anchors import AnchorGrid
from riveg.nn.mner_qg import MnerQg, QueryLogits
from riveg.nn.mner_qg_inputs import QueriedPost, collate_queries
from riveg.nn.query_windows import QueryWindow
from riveg.nn.tagger_inputs import to_device
from riveg.types import Span
from riveg.vision.runtime.batches import in_batches
from riveg.vision.runtime.loading import Placement, autocast

_LEAST = 0.05
"""Less probable spans are not answered at all: a text has very many of them."""

_MOST_ROWS = 64
"""Windows of a post in one forward pass: a text may be a book, and memory is not."""


@dataclass(frozen=True, slots=True)
class FoundSpan:
    """A span that may answer a query; ``probability`` in [0.05, 1], not yet calibrated."""

    span: Span
    probability: float


@dataclass(frozen=True, slots=True)
class FoundRegion:
    """The most likely box of a query.

    Args:
        edges: xyxy, shares of the image's sides in [0, 1].
        probability: That there is a region at all, in [0, 1], not yet calibrated.
    """

    edges: tuple[float, float, float, float]
    probability: float


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """What the network answers to one query about a post.

    Args:
        spans: By position, the improbable ones too; they may overlap.
        existence: Probability that the text has an entity of the type; ``None``: not asked.
        region: ``None`` without an image, or where the network grounds nothing.
    """

    spans: tuple[FoundSpan, ...] = ()
    existence: float | None = None
    region: FoundRegion | None = None


class _Row(NamedTuple):
    """What the network says of a window; ``spans``: first and last word there, probability."""

    window: QueryWindow
    spans: Sequence[tuple[int, int, float]]
    existence: float | None
    region: FoundRegion | None

    @property
    def query(self) -> int:
        """The number of the query that the window asks."""
        return self.window.query


class MnerQgPrediction:
    """Asks a network in evaluation mode, which stays on its device.

    Args:
        network: MNER-QG.
        placement: Where it is, and in which numbers it computes.
        padding_id: The tokenizer's piece for padding.
        queries: How many there are.
        batch_size: At most so many posts in one forward pass; one with very many windows is read
            in parts.
    """

    def __init__(
        self,
        network: MnerQg,
        placement: Placement,
        *,
        padding_id: int,
        queries: int,
        batch_size: int,
    ) -> None:
        self._network = network
        self._placement = placement
        self._padding_id = padding_id
        self._queries = queries
        self._batch_size = batch_size
        design = network.design
        self._grid = AnchorGrid(design.grids, design.anchors) if design.anchors else None

    def answers(self, posts: Sequence[QueriedPost]) -> list[tuple[QueryAnswer, ...]]:
        """The answer to each query about each post, in the order of the queries."""
        parts = [(number, part) for number, post in enumerate(posts) for part in _parts(post)]
        found = in_batches([part for _, part in parts], self._batch_size, self._forward)
        rows: list[list[_Row]] = [[] for _ in posts]
        for (number, _), own in zip(parts, found, strict=True):
            rows[number] += own
        return [
            tuple(_joined(list(group)) for _, group in groupby(own, key=lambda row: row.query))
            or (QueryAnswer(),) * self._queries
            for own in rows
        ]

    def _forward(self, posts: Sequence[QueriedPost]) -> list[list[_Row]]:
        batch = collate_queries(posts, padding_id=self._padding_id)
        with torch.no_grad(), autocast(self._placement):
            said = _on_cpu(self._network(to_device(batch, self._placement.device)))
        spans = _spans(said, batch["words"])
        existence = [None] * len(spans) if said.existence is None else said.existence.sigmoid()
        regions = self._regions(said, batch["image_of"])
        rows = zip(spans, existence, regions, strict=True)
        return [
            [
                _Row(window, own, None if there is None else float(there), region)
                for window, (own, there, region) in zip(post.windows, rows, strict=False)
            ]
            for post in posts
        ]

    def _regions(self, said: QueryLogits, image_of: Tensor) -> list[FoundRegion | None]:
        """The best box of each row that has an image."""
        if self._grid is None or said.anchor is None or said.box is None:
            return [None] * len(image_of)
        shares = said.anchor.softmax(dim=-1)
        best = said.anchor[:, :-1].argmax(dim=-1)
        boxes = self._grid.boxes(best, said.box[torch.arange(len(best)), best])
        return [
            FoundRegion((box[0], box[1], box[2], box[3]), 1 - nothing) if image >= 0 else None
            for box, nothing, image in zip(
                boxes.tolist(), shares[:, -1].tolist(), image_of.tolist(), strict=True
            )
        ]


def _parts(post: QueriedPost) -> Iterator[QueriedPost]:
    for start in range(0, len(post.windows), _MOST_ROWS):
        yield QueriedPost(post.windows[start : start + _MOST_ROWS], post.image)


def _on_cpu(said: QueryLogits) -> QueryLogits:
    start, end, match = (logits.float().cpu() for logits in said[:3])
    return QueryLogits(
        start, end, match, *(None if one is None else one.float().cpu() for one in said[3:])
    )


def _spans(said: QueryLogits, words: Tensor) -> list[list[tuple[int, int, float]]]:
    """First and last word of each span of each row that may be one, and its probability.

    It is the geometric mean of those of start, end and match.
    """
    start, end = (logits.sigmoid() * words for logits in (said.start, said.end))
    parts = torch.stack(
        [
            start[:, :, None].expand_as(said.match),
            end[:, None, :].expand_as(said.match),
            said.match.sigmoid(),
        ]
    )
    means = parts.log().mean(dim=0).exp()
    found: list[list[tuple[int, int, float]]] = [[] for _ in words]
    for row, first, last in (means >= _LEAST).triu().nonzero().tolist():
        found[row].append((first, last, float(means[row, first, last])))
    return found


def _joined(rows: Sequence[_Row]) -> QueryAnswer:
    """The answer to a query from all of its windows; each owns the spans that begin in it."""
    found = []
    for row in rows:
        start = row.window.words.start
        found += [
            FoundSpan(Span(start + first, start + last + 1), probability)
            for first, last, probability in row.spans
            if start + first in row.window.owned
        ]
    boxed = [row.region for row in rows if row.region is not None]
    return QueryAnswer(
        tuple(found),
        max((row.existence for row in rows if row.existence is not None), default=None),
        max(boxed, key=lambda one: one.probability, default=None),
    )
