"""The pixels of people in a box."""

from pathlib import Path

import numpy as np
import pytest
from helpers.places import QUICKSTART_IMAGES
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from riveg.errors import UserError
from riveg.geometry.arrays import Pixels
from riveg.geometry.masks import box_pixels
from riveg.stages.segmenters.evidence import person_network
from riveg.types import Box, ImageSize
from riveg.vision.plain.selfie import Selfie

WOMAN = Box(22, 14, 364, 512)


@pytest.fixture(scope="module")
def selfie() -> Selfie:
    return Selfie(person_network(), 0.1, 0.3)


@pytest.fixture(scope="module")
def astronaut() -> Pixels:
    path = next(QUICKSTART_IMAGES.glob("*astronaut*"))
    return np.asarray(Image.open(path).convert("RGB"))


def test_the_astronaut_is_cut_from_the_flag(selfie: Selfie, astronaut: Pixels) -> None:
    before = astronaut.copy()
    person = selfie.cut(astronaut, WOMAN)
    assert person[110, 225]  # her face
    assert person[350, 100]  # her sleeve
    assert not person[60, 80]  # the flag
    assert not person[300, 450]  # the shuttle, outside her box
    assert (astronaut == before).all()


def test_a_larger_image_gives_the_same_person(selfie: Selfie, astronaut: Pixels) -> None:
    twice = np.ascontiguousarray(astronaut.repeat(2, axis=0).repeat(2, axis=1))
    box = Box(*(2 * edge for edge in (WOMAN.x_min, WOMAN.y_min, WOMAN.x_max, WOMAN.y_max)))
    small, large = selfie.cut(astronaut, WOMAN), selfie.cut(twice, box)[::2, ::2]
    assert (small & large).sum() / (small | large).sum() > 0.98


def test_a_higher_bound_leaves_fewer_pixels(selfie: Selfie, astronaut: Pixels) -> None:
    strict = Selfie(person_network(), 0.1, 0.9).cut(astronaut, WOMAN)
    assert strict.any()
    assert (strict <= selfie.cut(astronaut, WOMAN)).all()


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.tuples(*[st.floats(-20, 110)] * 2),
    st.tuples(*[st.floats(0.1, 120)] * 2),
    st.integers(0, 3),
)
def test_nothing_lies_outside_the_box(
    width: int, height: int, corner: tuple[float, float], sides: tuple[float, float], seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    box = Box(*corner, corner[0] + sides[0], corner[1] + sides[1])
    person = Selfie(person_network(), 0.1, 0.01).cut(pixels, box)
    assert person.shape == (height, width)
    assert person.dtype == np.bool_
    assert (person <= box_pixels(box, ImageSize(width, height))).all()


def test_a_missing_or_damaged_network_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not there"):
        Selfie(tmp_path / "gone.onnx", 0.1, 0.3)
    (tmp_path / "broken.onnx").write_bytes(b"nothing")
    with pytest.raises(UserError, match="is no network"):
        Selfie(tmp_path / "broken.onnx", 0.1, 0.3)
