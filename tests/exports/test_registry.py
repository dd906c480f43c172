"""Formats by name, folders that are kept safe, and memory that does not grow."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from unicodedata import normalize

import pytest
from helpers.places import ROOT
from helpers.small_runs import answered, named, region, ring, trap_samples, write_run

from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.evaluation.reading import open_predictions
from riveg.exports.registry import FORMATS, export_run, exporter, options_of
from riveg.exports.source import ExportSource
from riveg.formats.run_records import UNFINISHED
from riveg.types import Sample

OWN = ("smner", "coco", "png", "voc", "yolo-seg", "jsonl")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_there_and_writes_what_it_says(name: str, tmp_path: Path) -> None:
    pytest.importorskip("datasets") if name == "parquet" else None
    out = tmp_path / "deep" / "out"
    report = export_run(write_run(tmp_path, trap_samples()), name, out)
    assert report.files
    assert all(path.exists() and path.is_relative_to(out) for path in report.files)
    assert all(number > 0 for number in report.left_out.values())


@pytest.mark.parametrize("name", OWN)
def test_the_same_run_gives_the_same_files(name: str, tmp_path: Path) -> None:
    source = write_run(tmp_path, trap_samples())
    both = []
    for place in ("one", "two"):
        out = tmp_path / place
        export_run(source, name, out)
        both.append({path.relative_to(out): path.read_bytes() for path in files_below(out)})
    assert both[0] == both[1]


def files_below(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def test_an_unknown_format_has_a_suggestion() -> None:
    with pytest.raises(UserError, match="no format 'yolo'; did you mean yolo-seg"):
        exporter("yolo")


def test_options_of_other_formats_are_refused(tmp_path: Path) -> None:
    assert options_of("coco") == {"mask", "tolerance", "copy_images"}
    with pytest.raises(UserError, match="format png: has no option --copy-images"):
        export_run(write_run(tmp_path, []), "png", tmp_path / "out", {"copy_images": True})
    assert not (tmp_path / "out").exists()


def test_a_folder_with_files_stays_unchanged(tmp_path: Path) -> None:
    source = write_run(tmp_path, [])
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    with pytest.raises(UserError, match="holds files; give --out a new or an empty folder"):
        export_run(source, "jsonl", out)
    with pytest.raises(UserError, match="is no folder"):
        export_run(source, "jsonl", out / "mine.txt")
    assert (out / "mine.txt").read_text() == "precious"


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("is_there", [True, False])
def test_a_failed_export_leaves_nothing(name: str, is_there: bool, tmp_path: Path) -> None:
    source = write_run(tmp_path, trap_samples(), b'{"id":1}\n')
    out = tmp_path / "out"
    if is_there:
        out.mkdir()
    with pytest.raises(UserError, match=r"records\.jsonl:7: not a Sample"):
        export_run(source, name, out)
    assert out.exists() == is_there
    assert not is_there or not [*out.iterdir()]


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has the run come to its end"):
        ExportSource.of_run(tmp_path / "nowhere")


def many_samples(count: int) -> Iterator[Sample]:
    """Samples of 20 kB each with a mask and an image of their own."""
    filler = " x" * 10_000
    for number in range(count):
        sample = answered("Ann", named("Ann", 0, region(mask=ring())), id=str(number))
        yield Sample(
            sample.id,
            sample.text + filler,
            sample.tokens,
            sample.offsets,
            answered("x", image=f"{number}.jpg").image,
            entities=sample.entities,
        )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_export_that_was_cut_off_says_so_or_is_gone(
    tmp_path: Path, number: signal.Signals
) -> None:
    source = write_run(tmp_path, many_samples(800))
    out = tmp_path / "out"
    words = ["export", source.folder, "--format", "smner", "--out", out]
    with subprocess.Popen(
        [sys.executable, "-m", "riveg", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as going:
        while not (out / "samples").exists():
            assert going.poll() is None
            time.sleep(0.002)
        going.send_signal(number)
    assert going.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    assert out.exists() == (number == signal.SIGKILL)
    if out.exists():
        assert (out / UNFINISHED).is_file()
        for read in (out, out / "samples"):
            with pytest.raises(UserError, match="export that did not come to its end"):
                open_predictions(read)
        with pytest.raises(UserError, match="did not come to its end, remove it; give --out"):
            export_run(source, "smner", out)


def test_a_whole_export_holds_no_mark(tmp_path: Path) -> None:
    export_run(write_run(tmp_path, trap_samples()), "smner", tmp_path / "out")
    assert not (tmp_path / "out" / UNFINISHED).exists()


@pytest.mark.parametrize(
    ("name", "file"), [("jsonl", "entities.jsonl"), ("parquet", "records.parquet")]
)
def test_a_cut_off_export_is_no_data(name: str, file: str, tmp_path: Path) -> None:
    report = export_run(write_run(tmp_path, trap_samples()), name, tmp_path / "out")
    assert report.files == (tmp_path / "out" / file,)
    open_dataset(tmp_path / "out" / file)
    (tmp_path / "out" / UNFINISHED).touch()
    with pytest.raises(UserError, match=f"{file}: is of an export that did not come to its end"):
        open_dataset(tmp_path / "out" / file)


def test_annotations_of_a_cut_off_export_are_no_data(tmp_path: Path) -> None:
    export_run(write_run(tmp_path, trap_samples()), "voc", tmp_path / "out")
    (tmp_path / "posts.txt").write_text("IMGID:a\nAnn\tB-PER\n")
    settings = "name: mine\nformat: twitter-gmner\ntext: {test: posts.txt}\nxml: out/Annotations\n"
    (tmp_path / "mine.yaml").write_text(settings + "images: [pictures]\nlabels: [PER]\n")
    open_dataset(tmp_path / "mine.yaml")
    (tmp_path / "out" / UNFINISHED).touch()
    with pytest.raises(UserError, match="Annotations: is of an export that did not come to its"):
        open_dataset(tmp_path / "mine.yaml")


@pytest.mark.parametrize("name", ["voc", "yolo-seg"])
def test_names_are_fit_for_every_system(name: str, tmp_path: Path) -> None:
    paths = ("con.jpg", "CON.png", "Lpt1.x.jpg", "a.jpg", "A.jpg", "Café.jpg", "Cafe\u0301.jpg")
    samples = [answered("Ann", id=path, image=path) for path in paths]
    source = write_run(tmp_path, samples)
    for path in paths:
        shutil.copy(tmp_path / "pictures" / "turned.jpg", tmp_path / "pictures" / path)
    export_run(source, name, tmp_path / "out")
    images = tmp_path / "out" / {"voc": "JPEGImages", "yolo-seg": "images"}[name]
    names = [path.name for path in images.iterdir()]
    assert len({normalize("NFC", one).casefold() for one in names}) == len(paths)
    assert not [one for one in names if PureWindowsPath(one).is_reserved()]


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_memory_does_not_grow_with_the_run(name: str, tmp_path: Path) -> None:
    peaks = []
    for turn, count in enumerate((1, 10, 110)):  # the first one is for what is loaded on use
        folder = tmp_path / str(turn)
        folder.mkdir()
        source = write_run(folder, many_samples(count))
        tracemalloc.start()
        export_run(source, name, folder / "out")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 100 samples more are 2 MB; a name or a number an image may be kept.
    assert peaks[2] - peaks[1] < 200_000, json.dumps(peaks)
