"""Labels lie inside the image and never over one another, whatever the boxes are."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from riveg.images.chips import Rectangle, area, chip_place
from riveg.types import ImageSize


def meet(one: Rectangle, other: Rectangle) -> bool:
    across = one[0] <= other[2] and other[0] <= one[2]
    return across and one[1] <= other[3] and other[1] <= one[3]


@st.composite
def frames(draw: st.DrawFn, canvas: ImageSize) -> Rectangle:
    left = draw(st.integers(0, canvas.width - 1))
    top = draw(st.integers(0, canvas.height - 1))
    return (
        left,
        top,
        draw(st.integers(left, canvas.width - 1)),
        draw(st.integers(top, canvas.height - 1)),
    )


@settings(deadline=None)
@given(st.data(), st.integers(1, 300), st.integers(1, 300))
def test_chips_do_not_meet_and_stay_inside(data: st.DataObject, width: int, height: int) -> None:
    canvas = ImageSize(width, height)
    boxes = data.draw(st.lists(frames(canvas), max_size=12))
    placed: list[Rectangle] = []
    for frame in boxes:
        size = ImageSize(data.draw(st.integers(1, 150)), data.draw(st.integers(1, 60)))
        place = chip_place(frame, size, canvas, placed, boxes)
        if place is None:
            continue
        assert (place[2] - place[0] + 1, place[3] - place[1] + 1) == tuple(size)
        assert place[0] >= 0
        assert place[1] >= 0
        assert place[2] < width
        assert place[3] < height
        assert not any(meet(place, other) for other in placed)
        placed.append(place)


@settings(deadline=None)
@given(st.data(), st.integers(1, 24), st.integers(1, 24))
def test_a_place_is_found_where_there_is_one(data: st.DataObject, width: int, height: int) -> None:
    canvas = ImageSize(width, height)
    placed = data.draw(st.lists(frames(canvas).filter(lambda one: area(one) < 60), max_size=6))
    size = ImageSize(data.draw(st.integers(1, 12)), data.draw(st.integers(1, 8)))
    free = any(
        not any(meet((x, y, x + size.width - 1, y + size.height - 1), other) for other in placed)
        for x in range(width - size.width + 1)
        for y in range(height - size.height + 1)
    )
    found = chip_place(data.draw(frames(canvas)), size, canvas, placed, placed)
    assert (found is not None) == free
