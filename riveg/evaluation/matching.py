"""Maximum bipartite matching of predicted with gold entities."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


def maximum_matching(edges: Sequence[Sequence[int]]) -> list[int | None]:
    """A matching with as many pairs as possible, each gold entity in one pair at most.

    Args:
        edges: For each predicted entity the gold entities that may be its partner.

    Returns:
        For each predicted entity its gold entity, or ``None``. An entity that has a partner keeps
        one: a later entity takes it over only if there is another partner for the earlier entity.

    >>> maximum_matching([[0, 1], [0]])
    [1, 0]
    """
    partner: list[int | None] = [None] * len(edges)
    owner: dict[int, int] = {}
    for start in range(len(edges)):
        _augment(start, edges, partner, owner)
    return partner


def _augment(
    start: int,
    edges: Sequence[Sequence[int]],
    partner: list[int | None],
    owner: dict[int, int],
) -> None:
    """Adds one pair along an alternating path between two free entities (Berge, 1957)."""
    reached_from: dict[int, int] = {}
    waiting = deque([start])
    while waiting:
        predicted = waiting.popleft()
        for gold in edges[predicted]:
            if gold in reached_from:
                continue
            reached_from[gold] = predicted
            if gold in owner:
                waiting.append(owner[gold])
                continue
            _flip(gold, reached_from, partner, owner)
            return


def _flip(
    gold: int | None,
    reached_from: dict[int, int],
    partner: list[int | None],
    owner: dict[int, int],
) -> None:
    while gold is not None:
        predicted = reached_from[gold]
        former, partner[predicted] = partner[predicted], gold
        owner[gold] = predicted
        gold = former
