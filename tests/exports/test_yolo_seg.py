"""YOLO outlines: rasterised again, they are the masks."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from helpers.any_samples import masks, runs
from helpers.small_runs import SIDES, answered, named, region, ring, trap_samples, write_run
from hypothesis import given, settings
from pycocotools import mask as coco

from riveg.exports.source import ExportReport
from riveg.exports.yolo_seg import export_yolo_seg
from riveg.geometry.masks import mask_area
from riveg.types import Entity, Mask, Sample


def exported(folder: Path, samples: list[Sample], **options: Any) -> ExportReport:
    out = folder / "out"
    out.mkdir()
    return export_yolo_seg(write_run(folder, samples), out, **options)


def counts_of(line: str) -> tuple[int, str]:
    """Class and run lengths of a line's outline."""
    index, *edges = line.split()
    width, height = SIDES
    sides = (width, height) * (len(edges) // 2)
    polygon = [float(edge) * side for edge, side in zip(edges, sides, strict=True)]
    (runs,) = coco.frPyObjects([polygon], height, width)
    return int(index), runs["counts"].decode()


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(masks())
def test_outlines_keep_parts_and_holes(mask: Mask) -> None:
    with TemporaryDirectory() as folder:
        exported(Path(folder), [answered("Ann", named("Ann", 0, region(mask=mask)))])
        files = [*(Path(folder) / "out" / "labels").iterdir()]
        lines = [line for file in files for line in file.read_text().splitlines()]
    assert [counts_of(line) for line in lines] == ([(0, mask.counts)] if mask_area(mask) else [])
    assert len(files) == len(lines), "a mask without a pixel makes no negative"


@settings(max_examples=20, deadline=None)
@given(runs())
def test_lines_are_well_formed_and_counted(samples: list[Sample]) -> None:
    with TemporaryDirectory() as folder:
        report = exported(Path(folder), samples)
        out = Path(folder) / "out"
        data = yaml.safe_load((out / "data.yaml").read_text(encoding="utf-8"))
        files = [*(out / "labels").iterdir()]
        lines = [line for path in files for line in path.read_text().splitlines()]
    assert report.counts == {"images": len(files), "outlines": len(lines), "classes": data["nc"]}
    for line in lines:
        assert re.fullmatch(r"\d+( [01]\.\d{6} [01]\.\d{6}){4,}", line)
        index, *edges = line.split()
        assert int(index) < len(data["names"])
        assert all(0 <= float(edge) <= 1 for edge in edges)


def test_every_label_has_its_image_and_its_class(tmp_path: Path) -> None:
    report = exported(
        tmp_path,
        [
            *trap_samples(),
            answered("NO", named("NO", 0, region(mask=ring()), label="no"), image="gone.jpg"),
        ],
    )
    out = tmp_path / "out"
    labels = {path.stem for path in (out / "labels").iterdir()}
    images = {path.stem for path in (out / "images").iterdir()}
    assert (labels, images) == ({"a", "sub-b-ü", "gone"}, {"a", "sub-b-ü"})
    assert (out / "labels" / "a.txt").read_text() == ""  # answered: nothing there
    assert report.left_out["picture that is not there any more"] == 2
    data = yaml.safe_load((out / "data.yaml").read_text())
    assert data["names"] == ["PER", "LOC", "ORG", "OTHER", "SHIP & CO", "no"]
    assert (out / data["train"]).is_dir()
    assert (out / data["val"]).is_dir()


@pytest.mark.parametrize(
    ("others", "files", "reason"),
    [
        ([], set(), "nothing else is known of the image"),
        ([answered("nothing", id="2")], set(), "another post says nothing: still no negative"),
        ([answered("Bob", named("Bob", 0, region(mask=ring())), id="2")], {"a"}, "an outline"),
    ],
)
@pytest.mark.parametrize(
    "entity",
    [
        named("Ann", 0, region()),
        named("Ann", 0, replace(region(), guess=True)),
        replace(named("Ann", 0), regions=None),
    ],
    ids=["a box without a mask", "a guess", "not looked for"],
)
@pytest.mark.parametrize("turned", [False, True])
def test_an_image_whose_places_were_left_out_is_no_negative(
    tmp_path: Path,
    entity: Entity,
    others: list[Sample],
    files: set[str],
    reason: str,
    turned: bool,
) -> None:
    samples = [answered("Ann", entity), *others]
    report = exported(tmp_path, samples[::-1] if turned else samples)
    for folder in ("labels", "images"):
        assert {path.stem for path in (tmp_path / "out" / folder).iterdir()} == files, reason
    assert report.counts["images"] == len(files)
    told = "picture with places of which none could be written (no file: it is no negative)"
    assert report.left_out.get(told, 0) == 1 - len(files)


def test_images_of_one_stem_have_names_of_their_own(tmp_path: Path) -> None:
    samples = [
        answered("Ann", named("Ann", 0, region(mask=ring())), id=path, image=path)
        for path in ("x.jpg", "x.png", "a/x.jpg", "a-x.jpg", "X.jpg", "..jpg")
    ]
    report = exported(tmp_path, samples)
    assert report.counts["images"] == len(samples)
    assert len([*(tmp_path / "out" / "labels").iterdir()]) == len(samples)


def test_copies_on_request(tmp_path: Path) -> None:
    exported(tmp_path, trap_samples(), copy_images=True)
    assert not any(path.is_symlink() for path in (tmp_path / "out" / "images").iterdir())


def test_supervision_loads_it(tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    exported(tmp_path, [answered("Ann", named("Ann", 0, region(mask=ring())))])
    out = tmp_path / "out"
    found = supervision.DetectionDataset.from_yolo(
        str(out / "images"), str(out / "labels"), str(out / "data.yaml"), force_masks=True
    )
    ((_, _, detections),) = found
    assert (found.classes, detections.mask.shape) == (
        ["PER", "LOC", "ORG", "OTHER"],
        (1, SIDES[1], SIDES[0]),
    )
