from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from riveg.types import Box, ImageSize
from riveg.vision.plain.bodies import grow_bodies

REACH = 2.5
SIZE = ImageSize(600, 450)


def face(x: float, y: float, side: float = 60) -> Box:
    return Box(x, y, x + side, y + side)


def test_one_face_runs_to_the_lower_edge_where_the_body_would() -> None:
    (body,) = grow_bodies([face(270, 100)], SIZE, REACH)
    assert body == Box(210, 73, 390, 450)


def test_a_small_face_high_up_has_a_body_that_ends_in_the_image() -> None:
    (body,) = grow_bodies([face(290, 40, 20)], SIZE, REACH)
    assert body.y_max == 31 + REACH * 60


def test_neighbours_meet_at_the_midline() -> None:
    left, right = grow_bodies([face(200, 100), face(290, 110)], SIZE, REACH)
    assert left.x_max == right.x_min == 275
    assert left.x_min == 140


def test_midlines_never_cut_a_face() -> None:
    first, second = face(200, 100), face(230, 100)
    for body, own in zip(grow_bodies([first, second], SIZE, REACH), (first, second), strict=True):
        assert body.x_min <= own.x_min
        assert body.x_max >= own.x_max


def test_a_face_far_above_is_no_neighbour() -> None:
    _, below = grow_bodies([face(200, 0, 40), face(230, 250)], SIZE, REACH)
    assert below.x_min == 170


boxes = st.builds(
    face,
    st.floats(0, 540),
    st.floats(0, 390),
    st.floats(1, 60),
)


@given(st.lists(boxes, max_size=6, unique=True))
def test_bodies_lie_in_the_image_and_hold_their_faces(faces: list[Box]) -> None:
    bodies = grow_bodies(faces, SIZE, REACH)
    assert len(bodies) == len(faces)
    for body, own in zip(bodies, faces, strict=True):
        assert 0 <= body.x_min <= own.x_min + 1e-9
        assert own.x_max - 1e-9 <= body.x_max <= 600
        assert 0 <= body.y_min <= own.y_min
        assert own.y_max <= body.y_max <= 450
