"""Pixels that two people's boxes share go to one of them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from riveg.geometry.masks import box_pixels
from riveg.types import Box, ImageSize
from riveg.vision.plain.neighbours import is_neighbour, without_neighbours

SIZE = ImageSize(120, 80)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x, y = draw(st.integers(-10, 100)), draw(st.integers(-10, 60))
    return Box(x, y, x + draw(st.integers(15, 130)), y + draw(st.integers(25, 90)))


def test_two_people_side_by_side_are_parted_in_the_middle() -> None:
    left, right = Box(0, 0, 60, 80), Box(40, 0, 100, 80)
    kept = without_neighbours(box_pixels(left, SIZE), left, [right])
    assert kept[:, :50].all()
    assert not kept[:, 50:].any()


def test_a_small_person_in_front_gets_the_middle_of_its_box() -> None:
    large, small = Box(0, 0, 100, 80), Box(10, 40, 30, 80)
    kept = without_neighbours(box_pixels(large, SIZE), large, [small])
    assert not kept[60, 20]
    assert kept[41, 29]  # a corner of the small box, nearer to the large one's centre
    assert kept[:40].sum() == 40 * 100


def test_nobody_beside_takes_nothing() -> None:
    box = Box(0, 0, 60, 80)
    person = box_pixels(box, SIZE)
    assert (without_neighbours(person, box, []) == person).all()
    assert (without_neighbours(person, box, [Box(60, 0, 100, 80)]) == person).all()


@given(boxes(), boxes())
def test_every_pixel_stays_with_one_of_two(one: Box, other: Box) -> None:
    first, second = box_pixels(one, SIZE), box_pixels(other, SIZE)
    mine = without_neighbours(first, one, [other])
    theirs = without_neighbours(second, other, [one])
    assert (mine <= first).all()
    assert ((mine | theirs) == (first | second)).all()
    assert (mine & ~second == first & ~second).all()


@given(boxes(), st.lists(boxes(), max_size=4))
def test_the_order_of_neighbours_does_not_matter(box: Box, others: list[Box]) -> None:
    person = np.ones((SIZE.height, SIZE.width), dtype=np.bool_)
    kept = without_neighbours(person, box, others)
    assert (kept == without_neighbours(person, box, others[::-1])).all()
    assert person.all()


@given(boxes(), boxes())
def test_neighbours_are_neighbours_of_each_other(one: Box, other: Box) -> None:
    assert is_neighbour(one, other) == is_neighbour(other, one)
    assert not is_neighbour(one, one)
