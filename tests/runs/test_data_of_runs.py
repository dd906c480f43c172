"""What a run reads: images that are not there, columns, several files, standard input, progress."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from helpers.places import ROOT
from PIL import Image

from riveg.config.backend import BackendConfig, BuildContext
from riveg.config.system import RunSettings, Step, SystemConfig
from riveg.datasets import Dataset, open_dataset
from riveg.errors import UserError
from riveg.formats.records import decode
from riveg.protocols import finishing
from riveg.runs.folder import RunFolder
from riveg.runs.progress import Silence
from riveg.runs.run import RunReport
from riveg.runs.sources import Samples, make_sample
from riveg.runs.system import System
from riveg.stages.table import STAGES
from riveg.types import Sample

CAPTION = next(stage for stage in STAGES if stage.name == "caption")


class SizeConfig(BackendConfig[object]):
    """Tells the size of each image, one image after the other."""

    stage: ClassVar[str] = "caption"
    name: ClassVar[str] = "size"
    summary: ClassVar[str] = "for tests"
    needs_image: ClassVar[bool] = True

    def build(self, context: BuildContext) -> Sizes:
        return Sizes(context)


class Sizes:
    def __init__(self, context: BuildContext) -> None:
        self._images = context.images

    def caption(self, samples: Sequence[Sample]) -> list[str]:
        return list(finishing(self._caption(sample) for sample in samples))

    def _caption(self, sample: Sample) -> str:
        assert sample.image is not None
        height, width, _ = self._images.load(sample.image).shape
        return f"{width}x{height}"


def system(first_images: int = 20, part_size: int = 8) -> System:
    settings = RunSettings(part_size=part_size, batch_size=4, first_images=first_images)
    steps = (Step(CAPTION, SizeConfig()),)
    return System(SystemConfig("sizes", "", steps, settings, None, Path(), "sizes.yaml"))


def posts(path: Path, count: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"id": str(n), "text": f"post {n}", "image": f"{n}.png"} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def pictures(folder: Path, *numbers: int, width: int = 5) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        Image.new("RGB", (width, 4)).save(folder / f"{number}.png")
    return folder


def captions(report: RunReport) -> list[str | None]:
    lines = (report.folder / "records.jsonl").read_bytes().splitlines()
    return [decode(Sample, line).caption for line in lines]


# --- images that are not there ------------------------------------------------------------------


@pytest.mark.parametrize(("count", "looked_for"), [(3, 3), (20, 20), (500, 20)])
def test_a_wrong_image_folder_is_told_before_anything_is_done(
    tmp_path: Path, count: int, looked_for: int
) -> None:
    file = posts(tmp_path / "posts.jsonl", count)
    empty = pictures(tmp_path / "empty")
    with pytest.raises(UserError) as caught:
        system().run(file, images=empty, out=tmp_path / "run")
    assert str(caught.value) == (
        f"posts: none of the first {looked_for} pictures is there: '0.png' was looked for in "
        f"{empty}; say where they are with --images, or run without them: --set run.first_images=0"
    )
    assert not (tmp_path / "run" / "1-caption").exists()


def test_pictures_outside_of_the_folder_are_not_said_to_be_missing(tmp_path: Path) -> None:
    elsewhere = pictures(tmp_path / "elsewhere", *range(5))
    file = tmp_path / "here" / "posts.jsonl"
    file.parent.mkdir()
    rows = [{"text": "a", "image": f"../elsewhere/{number}.png"} for number in range(5)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match="expected a path below the picture folder"):
        system().run(file, out=tmp_path / "run")
    assert elsewhere.is_dir()


def test_with_the_right_folder_the_same_run_goes_on(tmp_path: Path) -> None:
    file = posts(tmp_path / "posts.jsonl", 30)
    out = tmp_path / "run"
    with pytest.raises(UserError, match="none of the first 20 pictures"):
        system().run(file, images=pictures(tmp_path / "empty"), out=out)
    report = system().run(file, images=pictures(tmp_path / "pics", *range(30)), out=out)
    assert captions(report) == ["5x4"] * 30


def test_images_that_go_away_do_not_undo_a_run(tmp_path: Path) -> None:
    file = posts(tmp_path / "posts.jsonl", 4)
    folder = pictures(tmp_path / "pics", *range(4))
    report = system().run(file, images=folder, out=tmp_path / "run")
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(UserError, match="none of the first 4 pictures is there"):
        system().run(file, images=folder, out=tmp_path / "run")
    assert captions(report) == ["5x4"] * 4


@pytest.mark.parametrize("number", [0, 19])
def test_one_image_of_the_first_is_enough(tmp_path: Path, number: int) -> None:
    file = posts(tmp_path / "posts.jsonl", 25)
    report = system().run(file, images=pictures(tmp_path / "pics", number), out=tmp_path / "run")
    assert (report.samples, report.failed) == (25, 24)


def test_a_run_without_any_image_can_be_wanted(tmp_path: Path) -> None:
    file = posts(tmp_path / "posts.jsonl", 25)
    empty = pictures(tmp_path / "empty")
    report = system(first_images=0).run(file, images=empty, out=tmp_path / "run")
    assert report.failed == 25
    few = system().run(file, images=empty, out=tmp_path / "few", limit=2)
    assert few.failed == 2
    with pytest.raises(UserError, match="none of the first 3 pictures"):
        system().run(file, images=empty, out=tmp_path / "more", limit=3)


def test_posts_without_an_image_do_not_count(tmp_path: Path) -> None:
    made = [make_sample("a", id=str(number)) for number in range(50)]
    missing = [make_sample("a", id=f"m{number}", image=f"{number}.png") for number in range(20)]
    report = system().run(made, images=tmp_path, out=tmp_path / "run")
    assert report.samples == 50
    with pytest.raises(UserError, match=r"samples: none of the first 20 pictures is there"):
        system().run([*made, *missing], images=tmp_path, out=tmp_path / "other")


# --- the same from Python -----------------------------------------------------------------------


def test_images_are_looked_for_where_the_caller_says(tmp_path: Path) -> None:
    file = posts(tmp_path / "data" / "posts.jsonl", 3)
    pictures(tmp_path / "data", *range(3), width=5)
    folder = pictures(tmp_path / "pics", *range(3), width=7)
    given: list[str | Path | Dataset | list[Path]] = [str(file), file, open_dataset(file), [file]]
    for number, data in enumerate(given):
        report = system().run(data, images=folder, out=tmp_path / f"given-{number}")
        assert captions(report) == ["7x4"] * 3
        own = system().run(data, out=tmp_path / f"own-{number}")
        assert captions(own) == ["5x4"] * 3
    with pytest.raises(UserError, match="gone: no such folder"):
        system().run(file, images=tmp_path / "gone", out=tmp_path / "gone-run")
    source = Samples("mine", (folder,), lambda: [make_sample("a", id="1", image="1.png")])
    with pytest.raises(UserError, match="mine says itself where its pictures are"):
        system().run(source, images=folder, out=tmp_path / "no")


def test_several_files_are_one_run(tmp_path: Path) -> None:
    files = []
    for name, width in (("a", 5), ("b", 7)):
        (tmp_path / name).mkdir()
        files.append(tmp_path / name / "posts.csv")
        files[-1].write_text("text,image\nx,1.png\n")
        pictures(tmp_path / name, 1, width=width)
    report = system().run(files, out=tmp_path / "run")
    assert captions(report) == ["5x4", "7x4"]
    manifest = RunFolder(report.folder).read_manifest()
    assert manifest["origin"] == [str(file) for file in files]


# --- progress -----------------------------------------------------------------------


class Heard(Silence):
    """What a run says of its progress."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []
        self.issues = 0

    def begin(self, stage: str, _total: int | None, /) -> None:
        self.events.append((stage, 0))

    def keep(self, samples: int, /) -> None:
        self.events.append(("keep", samples))

    def advance(self, samples: int, issues: int, /) -> None:
        self.issues += issues
        if samples:
            self.events.append(("advance", samples))

    def counted(self, kind: str) -> list[int]:
        start = self.events.index(("caption", 0))
        return [number for name, number in self.events[start:] if name == kind and number]


def test_every_sample_counts_once_and_when_it_is_finished(tmp_path: Path) -> None:
    file = posts(tmp_path / "posts.jsonl", 11)
    folder = pictures(tmp_path / "pics", *range(9))
    heard = Heard()
    system().run(file, images=folder, out=tmp_path / "run", progress=heard)
    assert heard.counted("advance") == [1] * 11
    assert heard.counted("keep") == []
    assert heard.issues == 2
    again = Heard()
    pictures(folder, 9)
    system().run(file, images=folder, out=tmp_path / "run", progress=again)
    assert again.counted("keep") == [8, 2]
    assert again.counted("advance") == [1]


# --- the command -----------------------------------------------------------------------


def riveg(folder: Path, *arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "80",
        "RIVEG_CACHE": str(folder / "cache"),
    }
    return subprocess.run(
        [sys.executable, "-m", "riveg", *arguments],
        capture_output=True,
        check=False,
        cwd=folder,
        env=environment,
        input=data,
    )


@pytest.mark.slow
def test_columns_several_files_and_standard_input_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("key;tweet\n1;Ann in Oslo\n")
    (tmp_path / "b.tsv").write_text("key\ttweet\n2\tTom in Rome\n")
    until = ("--until", "tag", "--column", "text=tweet", "--column", "id=key")
    files = ("--data", "a.csv", "--data", "b.tsv")
    done = riveg(tmp_path, "run", "quickstart", *files, *until, "--out", "run")
    assert done.returncode == 0, done.stderr.decode()
    lines = (tmp_path / "run" / "records.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["id"] for row in rows] == ["1", "2"]
    assert RunFolder(tmp_path / "run").read_manifest()["columns"] == {"text": "tweet", "id": "key"}

    done = riveg(tmp_path, "run", "quickstart", *files, "--data", "a.csv", *until, "--out", "no")
    assert (done.returncode, b"a.csv: is given 2 times" in done.stderr) == (2, True)

    content = (tmp_path / "a.csv").read_bytes()
    for _ in range(2):  # the second time, it goes on
        done = riveg(tmp_path, "run", "quickstart", "--data", "-", *until, data=content)
        assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "runs" / "quickstart-stdin" / "records.jsonl").is_file()

    done = riveg(tmp_path, "data", "check", "a.csv", "b.tsv", "--column", "text=tweet")
    assert done.returncode == 0, done.stderr.decode()
    arguments = ("data", "convert", "a.csv", "b.tsv", "--column", "text=tweet", "--out")
    assert riveg(tmp_path, *arguments, "all.jsonl").returncode == 0
    assert len((tmp_path / "all.jsonl").read_text().splitlines()) == 2
    done = riveg(tmp_path, *arguments, "all.txt")
    assert (done.returncode, b"end it in .jsonl or .parquet" in done.stderr) == (2, True)


@pytest.mark.slow
def test_gold_of_chosen_columns_is_found_again(tmp_path: Path) -> None:
    entities = json.dumps([{"label": "LOC", "start": 2, "end": 3}]).replace('"', '""')
    (tmp_path / "a.csv").write_text(f'tweet,entities\nAnn in Oslo,"{entities}"\n')
    run = ("run", "quickstart", "--data", "a.csv", "--column", "text=tweet", "--out", "run")
    done = riveg(tmp_path, *run, "--set", "tag=gold", "--until", "tag")
    assert done.returncode == 0, done.stderr.decode()
    done = riveg(tmp_path, "eval", "run")
    assert done.returncode == 0, done.stderr.decode()
    assert b"MNER" in done.stdout


@pytest.mark.slow
def test_a_wrong_folder_stops_the_command_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    started = time.monotonic()
    done = riveg(tmp_path, "run", "quickstart", "--images", "empty", "--out", "run")
    assert time.monotonic() - started < 30
    assert done.returncode == 2
    last = done.stderr.decode().splitlines()[-1]
    assert last.startswith("riveg: quickstart: none of the first 12 pictures is there: 'qs01-")
    assert "--images" in last
