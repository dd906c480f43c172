import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from riveg.geometry.frames import FRAMES, FrameName, InsideOut, OutsideFrame, Resize
from riveg.types import Box, ImageSize

PHOTO = ImageSize(1200, 800)


@pytest.mark.parametrize(
    ("sent", "resized", "reason"),
    [
        ((1024, 683), (1036, 672), "rounded to multiples of 28, not up or down"),
        ((1000, 750), (1008, 756), "a usual photo"),
        ((28, 28), (56, 56), "smaller than the least area"),
        ((10, 400), (28, 364), "a side that would round to nothing"),
        ((42, 42), (56, 56), "half a step rounds to the even multiple, as Python does"),
        ((60, 60), (56, 56), "the least area exactly"),
        ((8000, 6000), (4116, 3080), "more than the most area"),
    ],
)
def test_the_processor_of_qwen_resizes(
    sent: tuple[int, int], resized: tuple[int, int], reason: str
) -> None:
    assert Resize()(ImageSize(*sent)) == resized, reason


def test_a_smaller_budget_and_none() -> None:
    assert Resize(max_pixels=1024 * 28 * 28)(ImageSize(1024, 1024)) == (896, 896)
    assert Resize(multiple=1)(ImageSize(1023, 7)) == (1023, 7)


@pytest.mark.parametrize(
    ("name", "numbers", "box"),
    [
        ("norm1000", (100, 250, 500, 1000), Box(120, 200, 600, 800)),
        ("norm1000-yx", (250, 100, 1000, 500), Box(120, 200, 600, 800)),
        ("norm999", (0, 0, 999, 999), Box(0, 0, 1200, 800)),
        ("norm1", (0.1, 0.25, 0.5, 1), Box(120, 200, 600, 800)),
        ("pixels-sent", (0, 336, 518, 672), Box(0, 400, 600, 800)),
    ],
)
def test_one_box_in_every_frame(name: FrameName, numbers: tuple[float, ...], box: Box) -> None:
    frame = FRAMES[name]
    found = frame.box(numbers, frame.extent(ImageSize(1024, 683), Resize()), PHOTO)
    edges = (found.x_min, found.y_min, found.x_max, found.y_max)
    assert edges == pytest.approx((box.x_min, box.y_min, box.x_max, box.y_max))


@pytest.mark.parametrize(
    ("name", "numbers", "fault", "message"),
    [
        ("norm1000", (0, 0, 1001, 10), OutsideFrame, r"1001 is not in \[0, 1000\]"),
        ("norm1000", (-1, 0, 10, 10), OutsideFrame, r"-1 is not in \[0, 1000\]"),
        ("norm999", (0, 0, 10, 1000), OutsideFrame, r"1000 is not in \[0, 999\]"),
        ("norm1", (10, 20, 30, 40), OutsideFrame, r"10 is not in \[0, 1\]"),
        ("pixels-sent", (0, 0, 1037, 672), OutsideFrame, r"1037 is not in \[0, 1036\]"),
        ("norm1000-yx", (0, 1001, 5, 5), OutsideFrame, r"1001 is not in"),
        ("norm1000", (500, 0, 100, 10), InsideOut, r"\[500, 0, 100, 10\] is inside out"),
        ("norm1000", (0, 10, 100, 10), InsideOut, "has no area"),
        ("norm1000", (float("nan"), 0, 1, 1), OutsideFrame, "a number out of all bounds is not in"),
        ("norm1000", (0, 0, float("inf"), 1), OutsideFrame, "a number out of all bounds is not in"),
        ("norm1000", (0, 0, 10**400, 1), OutsideFrame, "a number out of all bounds is not in"),
    ],
)
def test_a_box_that_is_none_is_a_fault_and_never_clipped(
    name: FrameName, numbers: tuple[float, ...], fault: type[ValueError], message: str
) -> None:
    frame = FRAMES[name]
    with pytest.raises(fault, match=message):
        frame.box(numbers, frame.extent(ImageSize(1024, 683), Resize()), PHOTO)


SIDES = st.integers(1, 9000)
NAMES = st.sampled_from(sorted(FRAMES))
TWO_SHARES = st.lists(st.integers(0, 10_000), min_size=2, max_size=2, unique=True).map(
    lambda pair: [number / 10_000 for number in pair]
)
"""Two places along a side, in shares of it."""


@given(NAMES, SIDES, SIDES, SIDES, SIDES, st.data())
def test_there_and_back(
    name: FrameName, width: int, height: int, sent_width: int, sent_height: int, data: st.DataObject
) -> None:
    frame = FRAMES[name]
    image = ImageSize(width, height)
    extent = frame.extent(ImageSize(sent_width, sent_height), Resize())
    left, right = sorted(data.draw(TWO_SHARES))
    upper, lower = sorted(data.draw(TWO_SHARES))
    stated = (
        left * extent.width,
        upper * extent.height,
        right * extent.width,
        lower * extent.height,
    )
    box = frame.box(frame.edges(stated), extent, image)
    assert 0 <= box.x_min < box.x_max <= image.width
    assert 0 <= box.y_min < box.y_max <= image.height
    assert box.x_min == pytest.approx(left * width)
    assert box.x_max == pytest.approx(right * width)
    assert box.y_min == pytest.approx(upper * height)
    assert box.y_max == pytest.approx(lower * height)


@given(NAMES, SIDES, SIDES, st.data())
def test_a_box_in_pixels_is_stated_to_the_nearest_number(
    name: FrameName, width: int, height: int, data: st.DataObject
) -> None:
    frame, image = FRAMES[name], ImageSize(width, height)
    extent = frame.extent(image, Resize())
    left, right = sorted(data.draw(TWO_SHARES))
    upper, lower = sorted(data.draw(TWO_SHARES))
    wanted = Box(left * width, upper * height, right * width, lower * height)
    numbers = frame.numbers(wanted, extent, image)
    box = frame.box(numbers, extent, image)  # it lies in the frame and has an area
    assert all(isinstance(number, int) for number in numbers) == frame.is_whole
    across = width / extent.width if frame.is_whole else width / 10_000
    down = height / extent.height if frame.is_whole else height / 10_000
    # Half a number at each edge, and one for a side that would be none.
    assert abs(box.x_min - wanted.x_min) <= 1.51 * across
    assert abs(box.x_max - wanted.x_max) <= 1.51 * across
    assert abs(box.y_min - wanted.y_min) <= 1.51 * down
    assert abs(box.y_max - wanted.y_max) <= 1.51 * down


NUMBERS = st.integers() | st.floats(allow_nan=False) | st.floats(0, 1)


@given(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), st.sampled_from([*FRAMES]), SIDES, SIDES)
def test_numbers_in_order_and_in_the_frame_are_a_box_of_any_image(
    numbers: tuple[float, ...], name: FrameName, width: int, height: int
) -> None:
    frame, image = FRAMES[name], ImageSize(width, height)
    try:
        frame.check_order(numbers)
        box = frame.box(numbers, frame.extent(image, Resize()), image)
    except (InsideOut, OutsideFrame):
        return
    assert box.area > 0


@given(SIDES, SIDES, st.integers(1, 64), st.integers(1, 10**7), st.integers(1, 10**7))
def test_resized_sides_are_multiples(
    width: int, height: int, multiple: int, least: int, more: int
) -> None:
    resize = Resize(multiple=multiple, min_pixels=least, max_pixels=least + more)
    for side in resize(ImageSize(width, height)):
        assert side > 0
        assert side % multiple == 0 or multiple == 1


def test_bounds_of_a_resizing_stand_in_order() -> None:
    with pytest.raises(ValidationError, match=r"min_pixels \(5\) is above max_pixels \(4\)"):
        Resize(min_pixels=5, max_pixels=4)
