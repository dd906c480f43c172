"""NanoDet, BlazeFace and the letterbox that both look through."""

from pathlib import Path

import numpy as np
import pytest
from helpers.places import QUICKSTART_IMAGES
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from riveg.errors import UserError
from riveg.geometry.arrays import Pixels
from riveg.geometry.boxes import clip_box
from riveg.stages.observers.evidence import face_network, object_network
from riveg.types import Box, ImageSize
from riveg.vision.plain.blazeface import BlazeFace
from riveg.vision.plain.letterbox import Letterbox
from riveg.vision.plain.nanodet import NanoDet

SIDES = st.integers(1, 3000)


@pytest.fixture(scope="module")
def nanodet() -> NanoDet:
    return NanoDet(object_network(), 0.4)


@pytest.fixture(scope="module")
def blazeface() -> BlazeFace:
    return BlazeFace(face_network(), 0.6)


def astronaut() -> Pixels:
    path = next(QUICKSTART_IMAGES.glob("*astronaut*"))
    return np.asarray(Image.open(path).convert("RGB"))


def inside(box: Box, pixels: Pixels) -> bool:
    height, width = pixels.shape[:2]
    limits = ImageSize(width, height)
    return clip_box(box, limits) == box


@settings(deadline=None)
@given(SIDES, SIDES, st.sampled_from([192, 416]))
def test_a_letterbox_fits_its_image(width: int, height: int, side: int) -> None:
    frame = Letterbox.of(ImageSize(width, height), side)
    assert max(frame.inner) == side
    assert 0 <= frame.left <= side - frame.inner.width
    assert 0 <= frame.top <= side - frame.inner.height
    whole = np.array(
        [
            frame.left,
            frame.top,
            frame.left + frame.inner.width,
            frame.top + frame.inner.height,
        ],
        dtype=np.float64,
    )
    assert frame.to_image(whole) == Box(0, 0, width, height)


@settings(deadline=None)
@given(SIDES, SIDES)
def test_what_lies_beside_the_image_has_no_box(width: int, height: int) -> None:
    frame = Letterbox.of(ImageSize(width, height), 416)
    beside = np.array([-20.0, -20.0, float(frame.left), float(frame.top)])
    assert frame.to_image(beside) is None


def test_an_image_keeps_its_colours_in_the_square() -> None:
    pixels = np.full((10, 30, 3), (200, 100, 50), dtype=np.uint8)
    square = Letterbox.of(ImageSize(30, 10), 60).fill(pixels)
    assert square.shape == (60, 60, 3)
    assert (square[20:40] == (200, 100, 50)).all()
    assert not square[:20].any()
    assert not square[40:].any()


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 900), (900, 1), (2, 3), (417, 415)], ids=lambda size: f"{size}"
)
def test_odd_images_are_looked_at(
    nanodet: NanoDet, blazeface: BlazeFace, size: tuple[int, int]
) -> None:
    pixels = np.zeros((*size, 3), dtype=np.uint8)
    assert nanodet.detect(pixels) == ()
    assert blazeface.detect(pixels) == ()


def test_noise_gives_boxes_inside_the_image(nanodet: NanoDet, blazeface: BlazeFace) -> None:
    greedy, credulous = NanoDet(object_network(), 0.05), BlazeFace(face_network(), 0.02)
    for seed in range(4):
        pixels = np.random.default_rng(seed).integers(0, 256, (150, 233, 3), dtype=np.uint8)
        for thing in greedy.detect(pixels):
            assert inside(thing.box, pixels)
            assert 0.05 <= thing.score <= 1
        for face in credulous.detect(pixels):
            assert inside(face.box, pixels)
            assert 0.02 <= face.score <= 1


def test_a_mirrored_image_has_mirrored_answers(nanodet: NanoDet, blazeface: BlazeFace) -> None:
    pixels = astronaut()
    mirrored = np.ascontiguousarray(pixels[:, ::-1])
    (person,) = [one.box for one in nanodet.detect(pixels) if one.label == "person"]
    (other,) = [one.box for one in nanodet.detect(mirrored) if one.label == "person"]
    assert other.x_min == pytest.approx(512 - person.x_max, abs=15)
    ((face, _),), ((turned, _),) = blazeface.detect(pixels), blazeface.detect(mirrored)
    assert turned.x_min == pytest.approx(512 - face.x_max, abs=8)


def test_the_best_comes_first_and_the_input_is_left_as_it_was(nanodet: NanoDet) -> None:
    pixels = astronaut()
    before = pixels.copy()
    scores = [one.score for one in NanoDet(object_network(), 0.1).detect(pixels)]
    assert scores == sorted(scores, reverse=True)
    assert (pixels == before).all()


def test_a_missing_or_damaged_network_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not there"):
        NanoDet(tmp_path / "gone.onnx", 0.4)
    (tmp_path / "broken.onnx").write_bytes(b"nothing")
    with pytest.raises(UserError, match="is no network"):
        BlazeFace(tmp_path / "broken.onnx", 0.6)
