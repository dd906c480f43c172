"""Anchors: usual sizes by k-means, and boxes that become numbers and back."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "riveg[models]"')

import torch
from helpers.tiny_mner_qg import ANCHORS
from hypothesis import given
from hypothesis import strategies as st

from riveg.nn.anchors import AnchorGrid, cluster_anchors, scaled_apart

GRID = AnchorGrid((8, 4, 2), ANCHORS)
shares = st.floats(0.02, 1.0)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    width, height = draw(shares), draw(shares)
    left, top = draw(st.floats(0, 1 - width)), draw(st.floats(0, 1 - height))
    return left, top, left + width, top + height


@given(boxes())
def test_the_targets_of_a_box_mean_that_box(box: tuple[float, float, float, float]) -> None:
    targets = GRID.targets([box])
    across, down, width, height = targets.offsets[0]
    assert 0 <= across <= 1
    assert 0 <= down <= 1
    logits = [torch.logit(torch.tensor(one), eps=1e-6) for one in (across, down)]
    offsets = torch.tensor([[*logits, width, height]])
    (found,) = GRID.boxes(torch.tensor(targets.numbers), offsets).tolist()
    assert found == pytest.approx(box, abs=1e-4)


def test_every_anchor_has_a_number_and_a_place() -> None:
    assert len(GRID) == 3 * (8 * 8 + 4 * 4 + 2 * 2)
    all_of_them = torch.arange(len(GRID))
    centred = GRID.boxes(all_of_them, torch.zeros(len(GRID), 4))
    numbers = [
        GRID.targets([tuple(box)]).numbers[0]
        for box in centred.tolist()
        if min(box) > 0 and max(box) < 1
    ]
    inside = [
        number for number, box in enumerate(centred.tolist()) if min(box) > 0 and max(box) < 1
    ]
    assert len(inside) > 100
    assert numbers == inside


def test_edges_of_any_offset_stay_in_the_image() -> None:
    wild = torch.tensor([[90.0, -90.0, 90.0, -90.0]] * len(GRID))
    found = GRID.boxes(torch.arange(len(GRID)), wild)
    assert torch.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1


@given(st.lists(st.tuples(shares, shares), min_size=1, max_size=60), st.integers(1, 9))
def test_anchors_are_usual_sizes_smallest_first(
    sizes: list[tuple[float, float]], count: int
) -> None:
    found = cluster_anchors(sizes, count)
    assert len(found) == count
    assert found == cluster_anchors(sizes[::-1], count), "in whatever order they come"
    areas = [math.prod(one) for one in found]
    assert areas == pytest.approx(sorted(areas), abs=1e-4)
    assert all(0 < side <= 1 for one in found for side in one)


def test_anchors_are_dealt_to_the_scales_finest_first() -> None:
    flat = [size for sizes in ANCHORS for size in sizes]
    assert scaled_apart(flat, 3) == ANCHORS
