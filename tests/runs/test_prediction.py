"""The answer about one post in a program: what it takes, shows and draws."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.places import ROOT
from PIL import Image

from riveg import load_system
from riveg.errors import UserError
from riveg.formats.records import decode, encode
from riveg.runs.prediction import Prediction
from riveg.runs.system import System
from riveg.types import Box, Mask, Region, Sample

pytestmark = pytest.mark.slow  # runs and processes take seconds

ASTRONAUT = ROOT / "data" / "quickstart" / "images" / "qs01-astronaut.jpg"
TEXT = "Eileen Collins <b>of</b> NASA"


@pytest.fixture(scope="module")
def system() -> System:
    return load_system("quickstart")


@pytest.fixture(scope="module")
def prediction(system: System) -> Prediction:
    return system.predict(text=TEXT, image=ASTRONAUT)


def test_the_ways_to_hand_an_image_over_agree(system: System, prediction: Prediction) -> None:
    with Image.open(ASTRONAUT) as image:
        raw = ASTRONAUT.read_bytes()
        given = (str(ASTRONAUT), raw, memoryview(raw), image, np.asarray(image.convert("RGB")))
        found = [system.predict(text=TEXT, image=each) for each in given]
    for one in found:
        assert one.entities == prediction.entities
        assert np.array_equal(np.asarray(one.draw()), np.asarray(prediction.draw()))


@pytest.mark.parametrize(
    "image",
    [
        "https://example.org/a.jpg",
        "HTTP://example.org/a.jpg",
        f"data:image/png;base64,{'A' * 9000}",
    ],
)
def test_addresses_are_not_opened(system: System, image: str) -> None:
    with pytest.raises(UserError, match="riveg opens no addresses") as caught:
        system.predict(text=TEXT, image=image)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((0, 0, 3), dtype=np.uint8), r"ndarray uint8 \(0, 0, 3\)"),
        (np.zeros((3, 40, 40), dtype=np.uint8), r"ndarray uint8 \(3, 40, 40\)"),
        (np.zeros((40, 40, 3)), r"ndarray float64 \(40, 40, 3\)"),
        (Image.new("RGB", (0, 5)), "one of 0 x 5 pixels"),
        (3.5, "found float"),
    ],
)
def test_what_is_no_image_is_one_line(system: System, image: Any, found: str) -> None:
    with pytest.raises(UserError, match=found):
        system.predict("a post", image)


def test_overrides_that_are_no_texts_are_one_line() -> None:
    overrides: Any = {"entail.threshold": 0.4}
    with pytest.raises(UserError, match="expected texts such as"):
        load_system("quickstart", overrides)


def test_bytes_that_are_no_image_are_an_issue(system: System) -> None:
    found = system.predict(text=TEXT, image=b"hello")
    assert found.issues[0].kind == "not-an-image"
    assert "not-an-image" in found._repr_html_()


def test_it_is_drawn_as_a_notebook_shows_it(prediction: Prediction) -> None:
    assert prediction.draw().width >= 512
    shown = prediction._repr_html_()
    assert "data:image/png;base64," in shown
    assert "Eileen Collins" in shown
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown


def test_a_post_without_an_image(system: System) -> None:
    found = system.predict(text=TEXT)
    assert "<img" not in found._repr_html_()
    assert "<td>no picture<" in found._repr_html_()
    with pytest.raises(UserError, match="no picture to draw on"):
        found.draw()


def test_it_is_a_sample(prediction: Prediction) -> None:
    line = encode(prediction)
    assert encode(decode(Sample, line)) == line
    assert replace(prediction, id="other").entities == prediction.entities


def test_what_is_printed_is_short(prediction: Prediction) -> None:
    assert repr(prediction).startswith("<sample 'post': 'Eileen Collins <b>of</b> NASA', 2 ent")
    for entity in prediction.entities or ():
        assert len(repr(entity.regions)) < 200
    long = replace(prediction, text="x" * 1000)
    assert len(repr(long)) < 120
    region = Region(Box(1, 2, 30.5, 40), score=0.8123, source="face", mask=Mask(40, 50, "", "me"))
    assert repr(region) == "<region (1, 2, 30.5, 40) 0.81 by face, <mask 50x40 by me>>"
    assert repr(replace(region, guess=True, mask=None)) == "<guess (1, 2, 30.5, 40) 0.81 by face>"


def test_masks_are_arrays(prediction: Prediction) -> None:
    (mask,) = [
        region.mask
        for entity in prediction.entities or ()
        for region in entity.regions or ()
        if region.mask
    ][:1]
    with Image.open(ASTRONAUT) as image:
        assert mask.to_numpy().shape == (image.height, image.width)


def test_a_file_that_has_gone_since(system: System, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(ASTRONAUT.read_bytes())
    found = system.predict(text=TEXT, image=path)
    path.unlink()
    with pytest.raises(Exception, match=r"a\.jpg"):
        found.draw()
