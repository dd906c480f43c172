"""A sample as the page's script reads it."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
from helpers.factories import make_sample
from helpers.report_runs import FACE, SIZE, annotated, disc, seen, story, with_entities
from PIL import Image

from riveg.geometry.boxes import box_text
from riveg.report.images import heat_address, original_address
from riveg.report.judging import Judgement
from riveg.report.rows import mask_path, row
from riveg.types import Before, Box, HeatMap, ImageRef, Mask, Region, Review, Span


def test_positions_are_counted_as_javascript_counts() -> None:
    sample = make_sample("🚀🚀 Ada ä 𝔘 Oslo", [(1, 2, "PER"), (4, 5, "LOC")], has_image=False)
    values = row([sample], [Judgement()], [], Path("report.html"))
    as_utf16 = sample.text.encode("utf-16-le")
    for entity in values["answers"][0]["entities"]:
        start, end = entity["place"]
        assert as_utf16[2 * start : 2 * end].decode("utf-16-le") == entity["text"]


def test_a_row_is_json_and_keeps_unanswered_apart_from_nothing(tmp_path: Path) -> None:
    samples, _ = story(tmp_path)
    for sample in samples:
        json.dumps(row([sample], [Judgement()], [tmp_path], tmp_path / "r.html"), allow_nan=False)
    silent = next(sample for sample in samples if sample.id == "silent")
    assert row([silent], [Judgement()], [], tmp_path)["answers"][0]["entities"] is None
    gone = next(sample for sample in samples if sample.id == "gone")
    values = row([gone], [Judgement()], [], tmp_path)
    assert values["answers"][0]["entities"][0]["regions"] is None
    assert values["original"] is None


def test_gold_without_a_span_in_the_text_has_no_place() -> None:
    sample = make_sample("Ada", has_image=False)
    gold = (annotated("Ada", "PER", (0, 1)), annotated("Oslo", "LOC", (5, 6)))
    values = row([sample], [Judgement(gold)], [], Path("report.html"))
    assert [entity["place"] for entity in values["gold"]] == [[0, 3], None]


def test_heat_is_a_grey_image_of_a_pixel_a_patch() -> None:
    address = heat_address(HeatMap(1, 2, "AP8="))
    assert address is not None
    content = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    with Image.open(BytesIO(content)) as image:
        assert np.asarray(image).tolist() == [[0, 255]]
    assert heat_address(HeatMap(1, 2, "!!!=")) is None


def rasterised(path: str, size: tuple[int, int]) -> np.ndarray:
    """The pixels of a path of relative steps, filled by the even-odd rule."""
    rings = []
    for ring in re.findall(r"M(\d+) (\d+)l([-\d ]+)z", path):
        steps = np.array(ring[2].split(), dtype=int).reshape(-1, 2)
        corners = [*accumulate(steps, initial=np.array(ring[:2], dtype=int))]
        # Corners lie between pixels: four times as fine, shifted by half a pixel.
        rings.append(np.array(corners) * 4)
    fine = np.zeros((size[1] * 4, size[0] * 4), dtype=np.uint8)
    cv2.fillPoly(fine, rings, 1)
    return fine[2::4, 2::4].astype(bool)


@pytest.mark.parametrize("box", [FACE, Box(0, 0, 40, 30), Box(10, 10, 630, 390)])
def test_a_mask_is_a_path_of_whole_numbers_close_to_its_pixels(box: Box) -> None:
    mask = disc(box)
    path = mask_path(mask)
    assert path is not None
    assert len(path) < 2500
    found, wanted = rasterised(path, SIZE), mask.to_numpy()
    assert (found & wanted).sum() / (found | wanted).sum() > 0.96


@pytest.mark.parametrize("counts", ["", "broken!", "0"])
def test_a_damaged_mask_is_left_out_and_not_the_page(counts: str) -> None:
    assert mask_path(Mask(10, 10, counts)) is None


def test_a_mask_without_a_pixel_has_no_path() -> None:
    sample = with_entities(make_sample("Ada", [(0, 1, "PER")]), seen())
    assert mask_path(disc(Box(-500, -500, -400, -400))) is None
    assert sample.entities


@pytest.mark.parametrize(
    "name",
    ["plain.jpg", "a b#c?d%41.jpg", "javascript:alert(1).jpg", "deep/er/ü😺.jpg", "'\"<>&.jpg"],
)
def test_originals_are_linked_relatively_and_every_sign_is_escaped(
    tmp_path: Path, name: str
) -> None:
    images, page = tmp_path / "some pictures", tmp_path / "pages" / "x" / "report.html"
    (images / name).parent.mkdir(parents=True)
    (images / name).touch()
    address = original_address(ImageRef(name), [tmp_path / "empty", images], page)
    assert address is not None
    assert re.fullmatch(r"[\w./~%-]+", address, flags=re.ASCII)
    assert (page.parent / unquote(address)).resolve() == (images / name).resolve()


@pytest.mark.parametrize("name", ["gone.jpg", "../secret.jpg", "", "a\0b.jpg", "x" * 300])
def test_what_is_not_there_or_lies_outside_is_not_linked(tmp_path: Path, name: str) -> None:
    images = tmp_path / "pictures"
    images.mkdir()
    (tmp_path / "secret.jpg").touch()
    assert original_address(ImageRef(name), [images], tmp_path / "report.html") is None
    outside = str(tmp_path / "secret.jpg")
    assert original_address(ImageRef(outside), [images], tmp_path / "report.html") is None


def test_a_second_look_says_what_was_and_what_is() -> None:
    post = make_sample("Ada Lovelace", [(0, 2, "PER")], has_image=False)
    looks = (
        Review("span", 0.6, "changed", Before(text="Ada", span=Span(0, 1))),
        Review("type", 0.4, "confirmed"),
        Review("region", 0.7, "changed", Before(regions=(Region(Box(1, 2, 3, 4)),))),
    )
    (entity,) = post.entities or ()
    looked = replace(post, entities=(replace(entity, regions=(), reviews=looks),))
    (values,) = row([looked], [Judgement()], [], Path("report.html"))["answers"][0]["entities"]
    assert [(one["kind"], one["outcome"], one["change"]) for one in values["reviews"]] == [
        ("span", "changed", ("Ada", "Ada Lovelace")),
        ("type", "confirmed", None),
        ("region", "changed", (box_text(Box(1, 2, 3, 4)), "no region")),
    ]
    (plain,) = row([post], [Judgement()], [], Path("report.html"))["answers"][0]["entities"]
    assert plain["reviews"] is None
