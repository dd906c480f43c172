"""VOC files, checked by riveg's own reader and, where it is installed, by supervision."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from helpers.any_samples import runs
from helpers.small_runs import SIDES, answered, named, region, ring, trap_samples, write_run
from helpers.xml_files import read_xml
from hypothesis import given, settings
from hypothesis import strategies as st

from riveg.datasets.annotations import AnnotationFolder
from riveg.datasets.voc import read_voc
from riveg.exports.source import ExportReport
from riveg.exports.voc import export_voc, nearest_edges
from riveg.types import Box, Sample


def exported(folder: Path, samples: list[Sample], *, copy_images: bool = False) -> ExportReport:
    out = folder / "out"
    out.mkdir()
    return export_voc(write_run(folder, samples), out, copy_images=copy_images)


def test_rivegs_own_reader_reads_names_and_boxes(tmp_path: Path) -> None:
    found = [named("Ann", 0, region(), region(30, 10, 8)), named("Łódź", 2, region(1, 2, 3))]
    exported(tmp_path, [answered("Ann in Łódź", *found)])
    annotation = AnnotationFolder(tmp_path / "out" / "Annotations", ".xml", False, read_voc).read(
        "a"
    )
    assert annotation is not None
    assert (annotation.size, annotation.defects) == (SIDES, ())
    assert [(item.name, item.box) for item in annotation.objects] == [
        ("Ann", Box(4, 6, 24, 26)),
        ("Ann", Box(30, 10, 38, 18)),
        ("Łódź", Box(1, 2, 4, 5)),
    ]


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(runs())
def test_every_box_of_every_answered_sample_is_read_back(samples: list[Sample]) -> None:
    with TemporaryDirectory() as folder:
        report = exported(Path(folder), samples)
        files = [*(Path(folder) / "out" / "Annotations").iterdir()]
        read = [read_voc(path) for path in files]
    assert not any(annotation.defects for annotation in read)
    assert sum(len(annotation.objects) for annotation in read) == report.counts["boxes"]
    assert report.counts["images"] == len(files)


@given(st.floats(-10, 90), st.floats(0.01, 90))
def test_nearest_edges_are_near_and_never_empty(low: float, length: float) -> None:
    box = Box(low, low, low + length, low + length)
    x_min, y_min, x_max, y_max = nearest_edges(box)
    assert x_min < x_max
    assert (x_min, x_max) == (y_min, y_max)
    assert math.isclose(x_min, box.x_min, abs_tol=1)
    assert math.isclose(x_max, box.x_max, abs_tol=1)


def test_an_object_has_its_type_beside_its_name(tmp_path: Path) -> None:
    exported(tmp_path, [answered("Ann", named("Ann", 0, region(), label="SHIP & <CO>"))])
    root = read_xml(tmp_path / "out" / "Annotations" / "a.xml")
    values = [root.findtext(f"object/{tag}") for tag in ("name", "type", "entity", "score")]
    assert values == ["Ann", "SHIP & <CO>", "e0", "0.5"]
    assert root.findtext("filename") == "a.jpg"


@pytest.mark.parametrize(
    ("text", "read", "lost"),
    [
        ("</name>&amp;", "</name>&amp;", 0),
        (" a\r\n\tb ", " a\r\n\tb ", 0),
        ("\x1b[31m\ufffe", "\ufffd[31m\ufffd", 2),
    ],
)
def test_hostile_names_are_words_to_xml(tmp_path: Path, text: str, read: str, lost: int) -> None:
    report = exported(tmp_path, [answered(text, replace(named("x", 0, region()), text=text))])
    (found,) = read_voc(tmp_path / "out" / "Annotations" / "a.xml").objects
    assert found.name == read
    reason = "character that XML cannot hold (a replacement mark stands for it)"
    assert report.left_out == ({reason: lost} if lost else {})


def test_samples_with_one_image_share_a_file(tmp_path: Path) -> None:
    samples = [answered(name, named(name, 0, region()), id=name) for name in ("Ann", "Bob")]
    report = exported(tmp_path, samples)
    found = read_voc(tmp_path / "out" / "Annotations" / "a.xml")
    assert [item.name for item in found.objects] == ["Ann", "Bob"]
    assert report.counts == {"images": 1, "boxes": 2}
    names = tmp_path / "out" / "ImageSets" / "Main" / "test.txt"
    assert names.read_text() == "a\n"


def test_images_are_linked_or_copied_and_missing_ones_counted(tmp_path: Path) -> None:
    report = exported(tmp_path, trap_samples())
    folder = tmp_path / "out" / "JPEGImages"
    assert sorted(path.name for path in folder.iterdir()) == ["a.jpg", "sub-b-ü.png"]
    assert (folder / "a.jpg").resolve() == (tmp_path / "pictures" / "a.jpg").resolve()
    assert report.left_out["picture that is not there any more"] == 1
    assert report.left_out["mask (VOC files hold boxes; see coco and png)"] == 2
    other = tmp_path / "other"
    other.mkdir()
    exported(other, trap_samples(), copy_images=True)
    assert not (other / "out" / "JPEGImages" / "a.jpg").is_symlink()


def test_supervision_loads_it(tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    exported(tmp_path, [answered("Ann", named("Ann", 0, region(mask=ring())))])
    out = tmp_path / "out"
    found = supervision.DetectionDataset.from_pascal_voc(
        str(out / "JPEGImages"), str(out / "Annotations")
    )
    ((_, _, detections),) = found
    assert found.classes == ["Ann"]
    # VOC counts pixels from 1, Twitter-GMNER's readers do not: supervision takes 1 off the least.
    assert detections.xyxy.tolist() == [[3, 5, 24, 26]]
