"""What is drawn is where the drawing says, and frames can be told apart in it."""

from itertools import permutations

import numpy as np
import pytest
from helpers.stated_boxes import stated_in
from PIL import ImageColor

from riveg.geometry.boxes import whole_edges
from riveg.geometry.frames import Resize
from riveg.probe.drawings import COLOURS, Drawings
from riveg.probe.verdict import CANDIDATES, Candidate, judge_frames
from riveg.types import ImageRef

DRAWINGS = Drawings()
PIXELS = [one for one in CANDIDATES if one.setting == "pixels-sent"]


def test_the_same_is_drawn_each_time() -> None:
    for one, other in zip(DRAWINGS.scenes, Drawings().scenes, strict=True):
        assert (one.pixels == other.pixels).all()
        assert one.targets == other.targets


def test_each_thing_fills_its_box_and_nothing_else_has_its_colour() -> None:
    for scene, target in DRAWINGS.things:
        colour = target.name.split()[0]
        is_word = colour == "printed"
        rgb = np.array(ImageColor.getrgb(COLOURS["black" if is_word else colour]))
        left, top, right, bottom = whole_edges(target.box, scene.size)
        held = (scene.pixels == rgb).all(-1)
        inside = held[top:bottom, left:right]
        assert inside.sum() == held.sum(), target
        assert inside.any(0)[[0, -1]].all() or is_word
        assert inside.all() or is_word
        # The soft edge of a letter is within a pixel of its ink.
        assert inside[1:-1].any(-1).mean() > 0.9
        assert inside[:, 1:-1].any(0).mean() > 0.7


def test_a_square_has_the_colour_that_it_is_named_for() -> None:
    assert [square.answer for square in DRAWINGS.squares] == list(COLOURS)
    for square in DRAWINGS.squares:
        height, width, _ = square.pixels.shape
        middle = square.pixels[height // 2, width // 2]
        assert tuple(middle) == ImageColor.getrgb(COLOURS[square.answer])


def test_they_are_a_source_of_images() -> None:
    scene = DRAWINGS.scenes[0]
    found = DRAWINGS.probe(ImageRef(scene.image.path))
    assert (found.width, found.height) == scene.size
    assert DRAWINGS.load(found) is scene.pixels


def test_the_aspects_are_extreme_and_the_words_differ() -> None:
    aspects = [scene.size.width / scene.size.height for scene in DRAWINGS.scenes]
    assert max(aspects) > 8
    assert min(aspects) < 1 / 8
    assert len({scene.answer for scene in DRAWINGS.scenes}) == len(DRAWINGS.scenes)


@pytest.mark.parametrize("side", [1024, 512, 256])
def test_no_frame_passes_for_another(side: int) -> None:
    for said, read in permutations(CANDIDATES, 2):
        verdict = judge_frames(stated_in(said, DRAWINGS, side), CANDIDATES, side)
        assert verdict.alike == (said,)
        assert verdict.fit_of(read).mean_iou < 0.9, (said.name, read.name)


@pytest.mark.parametrize("candidate", PIXELS, ids=lambda one: one.name)
def test_bounds_that_models_usually_have_change_no_drawing(candidate: Candidate) -> None:
    """Qwen3-VL's are from 256 x 256 to 4096 x 4096 pixels."""
    multiple = candidate.resize.multiple
    other = Resize(multiple=multiple, min_pixels=256**2, max_pixels=4096**2)
    for scene in DRAWINGS.scenes:
        assert other(scene.size) == candidate.resize(scene.size)
