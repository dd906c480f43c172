"""The matching: as many pairs as any other has."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.evaluation.matching import maximum_matching

graphs = st.lists(st.lists(st.integers(0, 4), unique=True, max_size=5), max_size=5)


@pytest.mark.slow  # seconds
@given(graphs)
def test_there_is_no_larger_one(edges: list[list[int]]) -> None:
    found = maximum_matching(edges)
    pairs = [(left, right) for left, right in enumerate(found) if right is not None]
    assert all(right in edges[left] for left, right in pairs)
    assert len({right for _, right in pairs}) == len(pairs)
    best = max(
        sum(right in edges[left] for left, right in zip(range(len(edges)), order, strict=False))
        for order in permutations([*range(5), *[None] * len(edges)], len(edges))
    )
    assert len(pairs) == best


def test_a_long_chain_needs_no_deep_stack() -> None:
    size = 3000
    edges = [[place, place + 1] for place in range(size)] + [[0]]
    assert None not in maximum_matching(edges)
