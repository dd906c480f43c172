"""Every kind of defect, one at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from riveg.datasets.check import Report, check
from riveg.datasets.opening import open_dataset
from riveg.geometry.masks import mask_from_array


def png(path: Path, colour: str = "red", size: tuple[int, int] = (20, 10)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def samples(folder: Path, **splits: list[dict[str, Any]]) -> Report:
    """The report on a JSON lines dataset; images lie in ``images``."""
    for split, rows in splits.items():
        lines = "".join(
            json.dumps({"text": f"{split} {n}", **row}) + "\n" for n, row in enumerate(rows)
        )
        (folder / f"{split}.jsonl").write_text(lines)
    files = ", ".join(f"{split}: {split}.jsonl" for split in splits)
    path = folder / "set.yaml"
    path.write_text(
        f"name: small\nformat: jsonl\ntext: {{{files}}}\nimages: [images]\nlabels: [PER, LOC]\n"
    )
    return check(open_dataset(str(path)))


def kinds(report: Report) -> list[str]:
    return [defect.kind for defect in report.defects]


def tom(*boxes: list[float], label: str = "PER", text: str | None = None) -> list[dict[str, Any]]:
    return [{"label": label, "start": 0, "end": 1, "boxes": [*boxes], "text": text}]


def test_sound_samples_have_no_defects(tmp_path: Path) -> None:
    png(tmp_path / "images" / "a.png")
    report = samples(
        tmp_path,
        train=[{"id": "a", "image": "a.png", "entities": tom([0, 0, 20, 10])}, {"id": "b"}],
        dev=[{"id": "c", "entities": []}],
    )
    assert report.defects == ()
    assert [counts.samples for counts in report.splits.values()] == [2, 1]
    assert [counts.entities for counts in report.splits.values()] == [1, 0]
    assert [counts.without_entity for counts in report.splits.values()] == [0, 1]


def test_images_that_are_missing_or_no_images(tmp_path: Path) -> None:
    png(tmp_path / "images" / "a.png")
    (tmp_path / "images" / "text.jpg").write_text("not a picture")
    whole = (tmp_path / "images" / "a.png").read_bytes()
    (tmp_path / "images" / "half.png").write_bytes(whole[:-30])
    names = ["gone.png", "text.jpg", "half.png", "../set.yaml", "/etc/passwd", "nul\0.png"]
    report = samples(tmp_path, test=[{"id": name, "image": name} for name in names])
    assert kinds(report) == [
        "missing-image",
        "not-an-image",
        "truncated-image",
        "outside-root",
        "outside-root",
        "missing-image",
    ]
    assert [defect.where for defect in report.defects] == [f"test.jsonl:{n}" for n in range(1, 7)]


def test_a_missing_folder_is_one_defect_and_not_one_a_sample(tmp_path: Path) -> None:
    rows = [{"id": n, "image": f"{n}.png"} for n in range(20)]
    assert kinds(samples(tmp_path, test=rows)) == ["missing-folder"]


def test_identical_bytes_under_two_names(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        png(tmp_path / "images" / f"{name}.png", "blue" if name == "c" else "red")
    rows = [{"id": n, "image": f"{n}.png"} for n in "abc"]
    report = samples(tmp_path, test=rows)
    assert kinds(report) == ["duplicate-picture"]
    assert "'b.png' has the same bytes as 'a.png' of test.jsonl:1" in report.defects[0].message


def test_a_split_without_samples_is_a_defect(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    report = samples(tmp_path, train=[{"id": "a"}], dev=[])
    (defect,) = report.defects
    assert (defect.kind, defect.where) == ("no-samples", "dev.jsonl")


def test_two_samples_may_share_one_file(tmp_path: Path) -> None:
    png(tmp_path / "images" / "a.png")
    rows = [{"id": n, "image": "a.png"} for n in "ab"]
    assert kinds(samples(tmp_path, test=rows)) == []


@pytest.mark.parametrize(
    "box", [[-1, 0, 5, 5], [0, -0.5, 5, 5], [0, 0, 20.5, 5], [0, 0, 5, 11]], ids=str
)
def test_boxes_outside_the_image(tmp_path: Path, box: list[float]) -> None:
    png(tmp_path / "images" / "a.png")
    report = samples(tmp_path, test=[{"id": "a", "image": "a.png", "entities": tom(box)}])
    assert kinds(report) == ["box-outside"]
    assert "leaves the real size 20 x 10" in report.defects[0].message


@pytest.mark.parametrize(("size", "expected"), [((20, 10), []), ((10, 20), ["mask-size"])])
def test_masks_of_another_size_than_their_image(
    tmp_path: Path, size: tuple[int, int], expected: list[str]
) -> None:
    png(tmp_path / "images" / "a.png")
    mask = mask_from_array(np.ones(size[::-1], dtype=np.bool_))
    cell = {"height": mask.height, "width": mask.width, "counts": mask.counts}
    entity = {"label": "PER", "start": 0, "end": 1, "boxes": [[0, 0, 5, 5]], "masks": [cell] * 2}
    report = samples(tmp_path, test=[{"id": "a", "image": "a.png", "entities": [entity]}])
    assert kinds(report) == expected
    if expected:
        assert "is 10 x 20, the real size is 20 x 10" in report.defects[0].message


def leak(kind: str) -> Callable[[Path], tuple[dict[str, Any], dict[str, Any]]]:
    def rows(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        one: dict[str, Any] = {"id": "1", "image": "a.png"}
        other: dict[str, Any] = {"id": "2", "image": "b.png"}
        png(folder / "images" / "a.png")
        png(folder / "images" / "b.png", "red" if kind == "bytes" else "blue")
        if kind == "id":
            other["id"] = "1"
        if kind == "text":
            one["text"] = other["text"] = "the same"
        if kind == "picture":
            other["image"] = "a.png"
        return one, other

    return rows


@pytest.mark.parametrize(
    ("kind", "across", "within"),
    [
        ("id", ["leaked-id"], ["duplicate-id"]),
        ("text", ["leaked-text"], []),
        ("picture", ["leaked-picture"], []),
        ("bytes", ["leaked-picture"], ["duplicate-picture"]),
        ("nothing", [], []),
    ],
)
def test_what_two_splits_share(
    tmp_path: Path, kind: str, across: list[str], within: list[str]
) -> None:
    one, other = leak(kind)(tmp_path)
    assert kinds(samples(tmp_path, train=[one], dev=[other])) == across
    assert kinds(samples(tmp_path, train=[one, other])) == within


def test_gold_that_contradicts_the_text_or_the_declared_types(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "a", "text": "Tom", "entities": tom(text="Rita")},
        {"id": "b", "text": "Tom!", "entities": tom(label="PERSON")},
        {"id": "c", "text": "Tom?", "entities": tom([3, 3, 1, 1])},
        {"id": "d", "text": ""},
    ]
    (tmp_path / "images").mkdir()
    assert kinds(samples(tmp_path, test=rows)) == [
        "text-mismatch",
        "unknown-label",
        "bad-entities",
        "empty-text",
    ]


def voc_set(folder: Path, text: str, xml: str, size: tuple[int, int]) -> Report:
    png(folder / "images" / "1.jpg", size=size)
    (folder / "xml").mkdir()
    (folder / "xml" / "1.xml").write_text(xml)
    (folder / "test.txt").write_text(text)
    path = folder / "set.yaml"
    path.write_text(
        "name: s\nformat: twitter-gmner\ntext: {test: test.txt}\nxml: xml\nimages: [images]\n"
    )
    return check(open_dataset(str(path)))


def annotation(x_max: int) -> str:
    return (
        "<annotation><size><width>30</width><height>10</height></size><object><name>Tom</name>"
        f"<bndbox><xmin>0</xmin><ymin>0</ymin><xmax>{x_max}</xmax><ymax>10</ymax></bndbox></object>"
        "</annotation>"
    )


@pytest.mark.parametrize(
    ("x_max", "size", "expected"),
    [
        (30, (30, 10), []),
        (31, (30, 10), ["box-outside"]),
        (20, (20, 10), ["size-mismatch"]),
        (30, (20, 10), ["size-mismatch", "box-outside"]),
    ],
)
def test_declared_and_real_sizes(
    tmp_path: Path, x_max: int, size: tuple[int, int], expected: list[str]
) -> None:
    assert kinds(voc_set(tmp_path, "IMGID:1\nTom\tB-PER\n", annotation(x_max), size)) == expected


def test_the_declared_size_serves_without_the_image(tmp_path: Path) -> None:
    report = voc_set(tmp_path, "IMGID:1\nTom\tB-PER\n", annotation(31), (30, 10))
    (tmp_path / "images" / "1.jpg").unlink()
    report = check(open_dataset(str(tmp_path / "set.yaml")))
    assert kinds(report) == ["missing-image", "box-outside"]
    assert "declared size 30 x 10" in report.defects[1].message


def test_tags_and_names_are_reported_with_their_places(tmp_path: Path) -> None:
    text = "IMGID:1\nTom\tI-PER\nHanks\tI-PER\n"
    report = voc_set(tmp_path, text, annotation(30), (30, 10))
    orphan, name = report.defects
    assert (orphan.kind, orphan.where) == ("orphan-i", "test.txt:1")
    assert (name.kind, name.where) == ("name-without-entity", "1.xml")
    assert "'Tom' is no entity of the post" in name.message
    assert "Tom Hanks" in name.message


def test_annotation_files_of_no_sample_are_noted(tmp_path: Path) -> None:
    voc_set(tmp_path, "IMGID:1\nTom\tB-PER\n", annotation(30), (30, 10))
    (tmp_path / "xml" / "2.xml").write_text(annotation(30))
    report = check(open_dataset(str(tmp_path / "set.yaml")))
    assert report.defects == ()
    assert any("1 of 2 .xml files" in note for note in report.notes)


def test_messages_cannot_steer_a_terminal(tmp_path: Path) -> None:
    rows = [
        {"id": "\x1b[2Jx", "text": "a"},
        {"id": "\x1b[2Jx", "text": "b\x1b]0;t\x07", "image": "\x1b"},
    ]
    (tmp_path / "images").mkdir()
    report = samples(tmp_path, test=rows)
    assert kinds(report) == ["duplicate-id", "missing-image"]
    assert all(defect.message.isprintable() for defect in report.defects)
