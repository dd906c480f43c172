"""COCO instances, checked by pycocotools, which reads them."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import pytest
from helpers.any_samples import masks, runs
from helpers.small_runs import IMAGES, SIDES, answered, named, region, ring, trap_samples, write_run
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco
from pycocotools.coco import COCO

from riveg.exports.coco import export_coco
from riveg.exports.source import ExportReport
from riveg.geometry.masks import mask_area, mask_from_array
from riveg.types import ImageRef, Mask, Sample

USUAL = ["PER", "LOC", "ORG", "OTHER"]
FORMS: tuple[Literal["rle", "polygon"], ...] = ("rle", "polygon")


def exported(folder: Path, samples: list[Sample], **options: Any) -> tuple[COCO, ExportReport]:
    out = folder / "out"
    out.mkdir()
    report = export_coco(write_run(folder, samples), out, **options)
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(out / "instances.json")), report


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=20, deadline=None)
@given(mask=masks())
def test_masks_come_back_to_the_pixel(form: Literal["rle", "polygon"], mask: Mask) -> None:
    with TemporaryDirectory() as folder:
        sample = answered("Ann", named("Ann", 0, region(mask=mask)))
        found, report = exported(Path(folder), [sample], mask=form)
    annotations = [*found.anns.values()]
    if not mask_area(mask):
        assert (annotations, report.left_out) == ([], {"mask with no pixel": 1})
        return
    (annotation,) = annotations
    assert found.annToRLE(annotation)["counts"] in (mask.counts, mask.counts.encode())
    assert annotation["area"] == mask_area(mask)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(runs(), st.sampled_from(FORMS))
def test_ids_are_whole_unique_and_stable(
    samples: list[Sample], form: Literal["rle", "polygon"]
) -> None:
    with TemporaryDirectory() as one, TemporaryDirectory() as two:
        found, report = exported(Path(one), samples, mask=form)
        again, _ = exported(Path(two), samples, mask=form)
    assert found.dataset == again.dataset
    annotations = found.dataset["annotations"]
    assert [each["id"] for each in annotations] == [*range(1, len(annotations) + 1)]
    names = [each["name"] for each in found.dataset["categories"]]
    assert names[:4] == USUAL
    assert names[4:] == sorted(names[4:])
    assert [each["id"] for each in found.dataset["categories"]] == [*range(1, len(names) + 1)]
    files = [each["file_name"] for each in found.dataset["images"]]
    assert len(files) == len({*files}) == len(found.imgs)
    assert report.counts["masks"] == len(annotations)
    for each in annotations:
        image = found.imgs[each["image_id"]]
        assert each["category_id"] in found.cats
        assert each["iscrowd"] == 0
        assert each["area"] > 0
        assert found.annToRLE(each)["size"] == [image["height"], image["width"]]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    small = mask_from_array(np.ones((4, 4), dtype=bool))
    empty = mask_from_array(np.zeros(SIDES[::-1], dtype=bool))
    damaged = Mask(SIDES[1], SIDES[0], "!")
    regions = [region(mask=mask) for mask in (small, empty, damaged, ring())]
    found, report = exported(
        tmp_path, [*trap_samples(), answered("X", named("X", 0, *regions), id="7")]
    )
    assert report.counts == {"images": 3, "masks": 3, "categories": 5}
    assert report.left_out == {
        "post not answered": 1,
        "post without a picture": 1,
        "entity not looked for in the picture": 1,
        "post whose picture's path leads out of the picture folder": 1,
        "region without a mask": 1,
        "entity that the picture does not show": 1,
        "mask of another size than its picture": 1,
        "mask with no pixel": 1,
        "damaged mask": 1,
    }
    assert {each["file_name"] for each in found.imgs.values()} == {*IMAGES[:2], "missing.jpg"}


def test_an_image_that_is_gone_and_was_never_measured_is_left_out(tmp_path: Path) -> None:
    sample = replace(answered("a"), image=ImageRef("missing.jpg"))
    _, report = exported(tmp_path, [sample])
    assert report.left_out == {"post whose picture's size is not known": 1}


def test_an_annotation_says_whose_it_is(tmp_path: Path) -> None:
    found, _ = exported(tmp_path, trap_samples())
    first = found.anns[1]
    assert (first["entity"], first["entity_id"], first["rank"]) == ("Ann", "e0", 0)
    assert (first["sample_id"], first["score"]) == ("ünï/ ../:1", 0.5)
    assert first["bbox"] == [4, 6, 60, 42]
    assert first["region_box"] == [4, 6, 20, 20]
    assert found.cats[first["category_id"]]["name"] == "PER"


def test_samples_with_one_image_share_an_image(tmp_path: Path) -> None:
    samples = [answered("Ann", named("Ann", 0, region(mask=ring())), id=each) for each in "12"]
    found, report = exported(tmp_path, samples)
    assert report.counts["images"] == 1
    assert [each["image_id"] for each in found.anns.values()] == [1, 1]


def test_an_image_that_no_stage_opened_is_measured(tmp_path: Path) -> None:
    found, _ = exported(tmp_path, [replace(answered("a"), image=ImageRef("turned.jpg"))])
    (image,) = found.imgs.values()
    assert (image["width"], image["height"]) == SIDES  # upright


def test_images_are_copied_on_request(tmp_path: Path) -> None:
    _, report = exported(tmp_path, trap_samples(), copy_images=True)
    images = tmp_path / "out" / "images"
    for name in IMAGES[:2]:
        original = tmp_path / "pictures" / name
        assert (images / name).read_bytes() == original.read_bytes()
        assert not (images / name).is_symlink()
    assert images in report.files


def test_a_tolerance_makes_polygons_smaller(tmp_path: Path) -> None:
    rows, columns = np.mgrid[: SIDES[1], : SIDES[0]]
    disc = mask_from_array(np.hypot(rows - 24, columns - 30) < 18)
    sizes = []
    for tolerance in (0.0, 1.0):
        folder = tmp_path / str(tolerance)
        folder.mkdir()
        sample = answered("Ann", named("Ann", 0, region(mask=disc)))
        found, _ = exported(folder, [sample], mask="polygon", tolerance=tolerance)
        ((polygon,),) = [each["segmentation"] for each in found.anns.values()]
        sizes.append(len(polygon))
        drawn = found.annToRLE(found.anns[1])
        exact = {"size": [disc.height, disc.width], "counts": disc.counts.encode()}
        assert coco.iou([drawn], [exact], [0])[0, 0] > 0.93
    assert sizes[1] < sizes[0] / 2


@pytest.mark.parametrize("form", FORMS)
def test_supervision_loads_it(form: Literal["rle", "polygon"], tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    sample = answered("Ann", named("Ann", 0, region(mask=ring())))
    exported(tmp_path, [sample], mask=form, copy_images=True)
    out = tmp_path / "out"
    found = supervision.DetectionDataset.from_coco(
        str(out / "images"), str(out / "instances.json"), force_masks=True
    )
    ((_, _, detections),) = found
    assert (found.classes, detections.xyxy.tolist()) == (USUAL, [[4, 6, 64, 48]])
    assert detections.mask.shape == (1, SIDES[1], SIDES[0])
