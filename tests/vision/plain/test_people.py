from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.types import Box, ImageSize, Observation
from riveg.vision.plain.people import find_people

SIZE = ImageSize(600, 450)


def face(x: float, y: float, side: float = 60) -> Observation:
    return Observation("face", Box(x, y, x + side, y + side), 0.9)


def person(
    x: float, y: float, width: float = 150, height: float = 300, score: float | None = 0.7
) -> Observation:
    return Observation("person", Box(x, y, x + width, y + height), score)


@pytest.mark.parametrize(
    ("observations", "faces", "why"),
    [
        ([person(100, 100)], [False], "a body without a face"),
        ([face(140, 110), person(100, 100)], [True], "its face"),
        ([face(400, 110), person(100, 100)], [False, True], "a face elsewhere is somebody else"),
        ([face(70, 110), person(100, 100)], [False, True], "half of a face is not held"),
        (
            [face(200, 110), person(100, 50, 300, 390), person(160, 100)],
            [False, True],
            "of two boxes around a face the smaller is its person's",
        ),
        ([person(0, 0, 50, 100)], [], "too small"),
        ([face(10, 10, 20), person(0, 0, 50, 100)], [], "a face does not make a small one larger"),
        ([face(300, 10, 8)], [], "a far face"),
        ([Observation("text", Box(0, 0, 500, 400), 0.9, "x")], [], "a text is nobody"),
    ],
)
def test_who_counts(observations: list[Observation], faces: list[bool], why: str) -> None:
    assert [one.has_face for one in find_people(observations, SIZE)] == faces, why


@pytest.mark.parametrize(
    ("observations", "count", "why"),
    [
        ([person(0, 4, 600, 446, 0.42)], 0, "a galaxy field, says the network, is a person"),
        ([person(0, 4, 600, 446, 0.5)], 1, "a sure one is close to the camera"),
        ([person(0, 4, 600, 446, None)], 1, "boxes without scores are somebody's word"),
        ([person(30, 60, 540, 390, 0.42)], 1, "four fifths of the image is not all of it"),
        ([face(200, 100), person(0, 4, 600, 446, 0.42)], 1, "a face is a person"),
        (
            [face(140, 110), person(100, 100), person(0, 4, 600, 446, 0.42)],
            1,
            "the face of a person within is not the large one's",
        ),
    ],
)
def test_an_unsure_box_that_fills_the_image_needs_a_face(
    observations: list[Observation], count: int, why: str
) -> None:
    assert len(find_people(observations, SIZE)) == count, why


def test_without_a_size_boxes_stay_as_they_are() -> None:
    seen = [face(10, 10, 20), person(100, 100, 9, 9, 0.42)]
    assert [one.box for one in find_people(seen, None)] == [seen[1].box, seen[0].box]


_BOXES = st.builds(
    lambda x, y, width, height: Box(x, y, min(x + width, 600), min(y + height, 450)),
    *(st.floats(0, 500), st.floats(0, 400), st.floats(5, 600), st.floats(5, 450)),
)


@given(st.lists(st.tuples(st.sampled_from(["face", "person"]), _BOXES), max_size=6))
def test_people_are_large_enough_and_no_more_than_was_seen(found: list[tuple[str, Box]]) -> None:
    seen = [Observation(kind, box, 0.8) for kind, box in found]
    people = find_people(seen, SIZE, least_share=0.05)
    assert len(people) <= len(seen)
    assert all(one.box.area >= 0.05 * 600 * 450 for one in people)
    everybody = find_people(seen, SIZE, least_share=0)
    boxes = [one.box for one in everybody if not one.is_grown]
    assert boxes == [box for kind, box in found if kind == "person"]
