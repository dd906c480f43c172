"""Polygons follow the pixels' edges: nothing is lost, nothing is added."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from pycocotools import mask as coco

from riveg.geometry.masks import mask_area, mask_from_array, mask_iou
from riveg.geometry.polygons import (
    Polygon,
    Ring,
    flat,
    joined_ring,
    mask_to_polygons,
    ring_area,
)
from riveg.types import Mask

PIXELS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9))


def drawn(*rows: str) -> Mask:
    return mask_from_array(np.array([[mark == "#" for mark in row] for row in rows]))


def rings_of(polygon: Polygon) -> tuple[Ring, ...]:
    return (polygon.exterior, *polygon.holes)


def rasterised(polygons: Sequence[Polygon], height: int, width: int) -> Mask:
    """The pixels whose centres lie inside, by COCO's own rasteriser, all rings joined to one."""
    ring = joined_ring([ring for polygon in polygons for ring in rings_of(polygon)])
    if not ring:
        return mask_from_array(np.zeros((height, width), dtype=np.bool_))
    (runs,) = coco.frPyObjects([flat(ring)], height, width)
    return Mask(height, width, runs["counts"].decode())


@pytest.mark.parametrize(
    ("mask", "parts", "holes", "reason"),
    [
        (drawn("..", ".."), 0, 0, "no pixel, no polygon"),
        (drawn("#"), 1, 0, "the whole picture"),
        (drawn("#.", "##"), 1, 0, "a corner"),
        (drawn("#.#"), 2, 0, "two parts on opposite edges"),
        (drawn("#.", ".#"), 2, 0, "pixels that touch at a corner are two parts"),
        (drawn("###", "#.#", "###"), 1, 1, "a hole"),
        (drawn("###", "#.#", "##."), 1, 1, "a hole that meets the exterior at a corner"),
        (drawn("####", "#.##", "##.#", "####"), 1, 2, "two holes that meet at a corner"),
        (drawn("#####", "#...#", "#.#.#", "#...#", "#####"), 2, 1, "an island in a hole"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_parts_and_holes(mask: Mask, parts: int, holes: int, reason: str) -> None:
    polygons = mask_to_polygons(mask)
    assert (len(polygons), sum(len(polygon.holes) for polygon in polygons)) == (parts, holes)
    assert rasterised(polygons, mask.height, mask.width) == mask


def test_a_pixel_covers_from_its_number_to_the_next() -> None:
    (polygon,) = mask_to_polygons(drawn("...", ".##"))
    assert set(polygon.exterior) == {(1.0, 1.0), (3.0, 1.0), (3.0, 2.0), (1.0, 2.0)}


@settings(deadline=None)
@given(PIXELS)
def test_the_area_is_the_number_of_pixels(pixels: NDArray[np.bool_]) -> None:
    mask = mask_from_array(pixels)
    polygons = mask_to_polygons(mask)
    assert sum(polygon.area for polygon in polygons) == mask_area(mask)
    assert all(ring_area(polygon.exterior) > 0 for polygon in polygons)
    assert all(ring_area(hole) < 0 for polygon in polygons for hole in polygon.holes)


@settings(deadline=None)
@given(PIXELS)
def test_polygons_are_rasterised_to_the_same_mask(pixels: NDArray[np.bool_]) -> None:
    mask = mask_from_array(pixels)
    height, width = pixels.shape
    polygons = mask_to_polygons(mask)
    assert rasterised(polygons, height, width) == mask
    parts = [flat(joined_ring(rings_of(polygon))) for polygon in polygons]
    if parts:  # as COCO's own tools read a list of polygons
        runs = coco.merge(coco.frPyObjects(parts, height, width))
        assert runs["counts"].decode() == mask.counts


@settings(deadline=None)
@given(PIXELS)
def test_no_ring_meets_itself_and_every_corner_turns(pixels: NDArray[np.bool_]) -> None:
    for polygon in mask_to_polygons(mask_from_array(pixels)):
        for ring in rings_of(polygon):
            assert len(set(ring)) == len(ring)
            for one, two in zip(ring, (*ring[1:], ring[0]), strict=True):
                assert (one[0] == two[0]) != (one[1] == two[1])


@settings(deadline=None)
@given(PIXELS, st.sampled_from([0.5, 1.0, 3.0]))
def test_simplifying_never_loses_a_part(pixels: NDArray[np.bool_], tolerance: float) -> None:
    mask = mask_from_array(pixels)
    assert len(mask_to_polygons(mask, tolerance)) == len(mask_to_polygons(mask))


def blob(seed: int, height: int = 450, width: int = 600) -> Mask:
    """A round shape with a wavy rim and a hole."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    angles = np.arctan2(rows - height / 2, columns - width / 2)
    distance = np.hypot(rows - height / 2, columns - width / 2)
    waves = sum(np.sin(k * angles + generator.uniform(0, 6)) for k in (3, 7, 19))
    return mask_from_array((distance < 150 + 12 * waves) & (distance > 40))


def test_a_tolerance_gives_fewer_corners_that_stay_near() -> None:
    mask = blob(0)
    (exact,), (simple,) = mask_to_polygons(mask), mask_to_polygons(mask, 1.0)
    assert len(simple.exterior) < len(exact.exterior) / 3
    assert len(simple.holes) == 1
    assert mask_iou(rasterised([simple], mask.height, mask.width), mask) > 0.98


def test_an_image_takes_milliseconds() -> None:
    masks = [blob(seed) for seed in range(10)]
    begun = time.perf_counter()
    for mask in masks:
        mask_to_polygons(mask, 1.0)
    assert time.perf_counter() - begun < 0.5  # some 3 ms each; loaded machines are slower


def test_joining_nothing_is_nothing() -> None:
    assert joined_ring([]) == ()
    assert mask_to_polygons(mask_from_array(np.zeros((2, 3), dtype=bool))) == ()
