"""Indexed masks, checked by Pillow: an index a pixel, and a legend that agrees."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from helpers.any_samples import runs
from helpers.small_runs import SIDES, answered, named, region, ring, trap_samples, write_run
from hypothesis import given, settings
from PIL import Image

from riveg.exports.png import export_png
from riveg.exports.source import ExportReport
from riveg.geometry.masks import mask_from_array
from riveg.types import MOST_MASKED, ImageRef, Mask, Sample


def exported(
    folder: Path, samples: list[Sample], *, per_entity: bool = False
) -> tuple[list[Any], ExportReport]:
    out = folder / "out"
    out.mkdir()
    report = export_png(write_run(folder, samples), out, per_entity=per_entity)
    return json.loads((out / "legend.json").read_text())["pictures"], report


def rectangle(left: int, top: int, right: int, bottom: int) -> Mask:
    array = np.zeros(SIDES[::-1], dtype=bool)
    array[top:bottom, left:right] = True
    return mask_from_array(array)


def test_an_index_for_each_entity_and_the_smaller_on_top(tmp_path: Path) -> None:
    small, large = rectangle(10, 10, 20, 20), rectangle(0, 0, 64, 48)
    entities = [
        named("Ann", 0, region(mask=small)),
        named("Bob", 1, region(mask=large), id="e1"),
        named("Eve", 2, region(), id="e2"),
    ]
    (entry,), report = exported(tmp_path, [answered("Ann Bob Eve", *entities)])
    image = Image.open(tmp_path / "out" / entry["file"])
    assert (image.mode, image.size) == ("P", SIDES)
    pixels = np.asarray(image)
    assert (pixels[10:20, 10:20] == 1).all()
    assert (pixels == 2).sum() == 64 * 48 - 100
    legend = [(each["index"], each["entity"], each["pixels"]) for each in entry["entities"]]
    assert legend == [(1, "Ann", 100), (2, "Bob", 64 * 48)]
    assert report.left_out == {"region without a mask": 1}
    palette = image.getpalette() or []
    colours = ["#{:02x}{:02x}{:02x}".format(*palette[at : at + 3]) for at in (0, 3, 6)]
    assert colours == ["#000000", *(each["colour"] for each in entry["entities"])]


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(runs())
def test_the_legend_agrees_with_the_images(samples: list[Sample]) -> None:
    with TemporaryDirectory() as folder:
        images, report = exported(Path(folder), samples)
        assert report.counts["images"] == len(images)
        for image in images:
            pixels = np.asarray(Image.open(Path(folder) / "out" / image["file"]))
            assert pixels.shape == (image["height"], image["width"])
            entities = image["entities"]
            assert {*np.unique(pixels)} <= {0, *(each["index"] for each in entities)}
            for each in entities:
                assert each["visible_pixels"] == (pixels == each["index"]).sum()
                assert each["visible_pixels"] <= each["pixels"]


def test_an_image_of_each_entity_on_request(tmp_path: Path) -> None:
    mask = ring()
    first = named("Ann", 0, region(mask=mask), region(mask=rectangle(40, 0, 64, 9)))
    samples = [answered("Ann", first, id="../é"), *trap_samples()]
    images, report = exported(tmp_path, samples, per_entity=True)
    out = tmp_path / "out"
    (entry,) = images[0]["entities"]
    image = Image.open(out / entry["file"])
    assert image.mode == "1"
    expected = mask.to_numpy() | rectangle(40, 0, 64, 9).to_numpy()
    assert (np.asarray(image) == expected).all()
    assert report.counts["entities"] == len([*(out / "entities").iterdir()]) == 3
    assert {path.parent for path in out.rglob("*.png")} == {out / "masks", out / "entities"}


def test_entities_beyond_the_palette_are_counted(tmp_path: Path) -> None:
    mask = rectangle(0, 0, 2, 2)
    entities = [named("x", 0, region(mask=mask), id=f"e{number}") for number in range(257)]
    (image,), report = exported(tmp_path, [answered("x", *entities)])
    assert len(image["entities"]) == 255
    assert report.left_out == {"region of an entity after the 255th of its picture": 2}
    assert len({each["colour"] for each in image["entities"]}) == 255


def test_an_answered_image_without_masks_is_all_background(tmp_path: Path) -> None:
    (image,), _ = exported(tmp_path, [answered("nothing")])
    assert not np.asarray(Image.open(tmp_path / "out" / image["file"])).any()


def test_an_image_that_claims_to_be_too_large_is_left_out(tmp_path: Path) -> None:
    samples = [answered("Ann", named("Ann", 0, region(mask=ring()))), answered("nothing", id="2")]
    claimed = ImageRef("a.jpg", MOST_MASKED // 1_000, 1_001)
    images, report = exported(tmp_path, [*samples, replace(samples[1], id="3", image=claimed)])
    assert [each["sample_id"] for each in images] == ["1", "2"]
    assert report.left_out == {f"post whose picture has more than {MOST_MASKED} pixels": 1}


def test_memory_does_not_grow_with_the_entities(tmp_path: Path) -> None:
    side = 1_000
    array = np.ones((side, side), dtype=bool)
    entities = [
        named("x", 0, region(mask=mask_from_array(array)), id=f"e{number}") for number in range(99)
    ]
    sample = replace(answered("x", *entities), image=ImageRef("a.jpg", side, side))
    source = write_run(tmp_path, [sample])
    (tmp_path / "out").mkdir()
    tracemalloc.start()
    try:
        export_png(source, tmp_path / "out")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 20 * side**2
