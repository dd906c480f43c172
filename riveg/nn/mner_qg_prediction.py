"""MNER-QG over many posts: spans, existence and a region for each query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

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


class MnerQgPrediction:
    """Asks a network in evaluation mode, which stays on its device.

    Args:
        network: MNER-QG.
        placement: Where it is, and in which numbers it computes.
        padding_id: The tokenizer's piece for padding.
        queries: How many there are.
        batch_size: At most so many posts in one forward pass.
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
        found = [(QueryAnswer(),) * self._queries] * len(posts)
        asked = [number for number, post in enumerate(posts) if post.windows]
        answers = in_batches([posts[one] for one in asked], self._batch_size, self._forward)
        for number, answer in zip(asked, answers, strict=True):
            found[number] = answer
        return found

    def _forward(self, posts: Sequence[QueriedPost]) -> list[tuple[QueryAnswer, ...]]:
        batch = collate_queries(posts, padding_id=self._padding_id)
        with torch.no_grad(), autocast(self._placement):
            said = _on_cpu(self._network(to_device(batch, self._placement.device)))
        spans = _spans(said, batch["words"])
        existence = None if said.existence is None else said.existence.sigmoid().tolist()
        regions = self._regions(said, batch["image_of"])
        windows = [window for post in posts for window in post.windows]
        rows = iter(range(len(windows)))
        return [
            tuple(
                _joined(list(group), windows, spans, existence, regions)
                for _, group in groupby(
                    [next(rows) for _ in post.windows], key=lambda row: windows[row].query
                )
            )
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


def _joined(
    rows: list[int],
    windows: Sequence[QueryWindow],
    spans: Sequence[Sequence[tuple[int, int, float]]],
    existence: Sequence[float] | None,
    regions: Sequence[FoundRegion | None],
) -> QueryAnswer:
    """The answer to a query from all of its windows; each owns the spans that begin in it."""
    found = []
    for row in rows:
        start = windows[row].words.start
        found += [
            FoundSpan(Span(start + first, start + last + 1), probability)
            for first, last, probability in spans[row]
            if start + first in windows[row].owned
        ]
    boxed = [region for row in rows if (region := regions[row]) is not None]
    return QueryAnswer(
        tuple(found),
        None if existence is None else max(existence[row] for row in rows),
        max(boxed, key=lambda one: one.probability, default=None),
    )
