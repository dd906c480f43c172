"""``riveg show run --id --image``: one sample drawn to a PNG file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.small_runs import SIDES, answered, named, region, trap_samples, write_run
from PIL import Image
from typer.testing import CliRunner, Result

from riveg.cli import app
from riveg.errors import UserError
from riveg.formats.records import encode
from riveg.images.palette import type_colours
from riveg.runs.folder import Part, RunFolder
from riveg.runs.overlays import draw_sample, write_overlay, write_overlays
from riveg.runs.reading import read_records
from riveg.types import HeatMap


def show(folder: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["show", "run", str(folder), *map(str, arguments)])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run whose folder also holds what its stages saw."""
    folder = write_run(tmp_path, trap_samples()).folder
    lines = tuple(encode(sample) for sample in trap_samples())
    part = Part.of("input", "f", tuple(map(str, range(len(lines)))), lines)
    RunFolder(folder).input.write(0, part)
    return folder


def test_the_image_is_drawn_and_the_answers_are_printed(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "one.PNG"
    done = show(run, "--id", "ünï/ ../:1", "--image", target)
    assert done.exit_code == 0, done.output
    assert "Łódź" in done.stdout
    with Image.open(target) as drawn:
        assert (drawn.format, drawn.width) == ("PNG", 640)
        assert np.array_equal(np.asarray(drawn), np.asarray(draw_sample(run, "ünï/ ../:1")))


def test_it_is_the_image_that_the_run_folder_has(run: Path, tmp_path: Path) -> None:
    assert write_overlays(run, 1) == 1
    write_overlay(run, "ünï/ ../:1", tmp_path / "one.png")
    (kept,) = (run / "overlays").iterdir()
    assert (tmp_path / "one.png").read_bytes() == kept.read_bytes()


def test_an_earlier_image_is_replaced(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "one.png"
    write_overlay(run, "2", target)
    before = target.read_bytes()
    write_overlay(run, "ünï/ ../:1", target)
    assert target.read_bytes() != before


def test_the_colours_are_those_of_the_whole_run(tmp_path: Path) -> None:
    samples = [
        answered("Mir", named("Mir", 0, label="PLANE"), id="1"),
        answered("Aurora", named("Aurora", 0, region(4, 12, 30), label="SHIP"), id="2"),
    ]
    drawn = np.asarray(draw_sample(write_run(tmp_path, samples).folder, "2"))
    colour = type_colours(["PLANE", "SHIP"])["SHIP"]
    expected = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    scale = 640 // SIDES[0]
    assert drawn[27 * scale, 4 * scale].tolist() == expected


def test_heat_is_painted_on_request(tmp_path: Path) -> None:
    heat = HeatMap(1, 2, "AP8=")
    places = replace(region(4, 12, 30), heat=heat)
    folder = write_run(tmp_path, [answered("Mir", named("Mir", 0, places), id="1")]).folder
    lines = tuple(encode(sample) for sample in read_records(folder))
    RunFolder(folder).input.write(0, Part.of("input", "f", ("0",), lines))
    for name, more in (("plain.png", []), ("hot.png", ["--heat"])):
        assert show(folder, "--id", "1", "--image", tmp_path / name, *more).exit_code == 0
    assert (tmp_path / "plain.png").read_bytes() != (tmp_path / "hot.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--id", "2", "--heat", "--image", "one.png"], "has no heat map: `ground: itm-gradcam`"),
        (["--image", "one.png"], "say which with --id"),
        (["--id", "nobody", "--image", "one.png"], "holds no sample 'nobody'"),
        (["--id", "2", "--image", "one.jpg"], "ends in .png"),
        (["--id", "4", "--image", "one.png"], "has no picture to draw on"),
        (["--id", "5", "--image", "one.png"], "'missing.jpg': no such file"),
        (["--id", "6", "--image", "one.png"], "expected a path below the picture folder"),
        (["--id", "2", "--image", "notes.png"], "is there and is no PNG file"),
        (["--id", "2", "--image", "folder.png"], "is there and is no PNG file"),
        (["--id", "2", "--image", "nowhere/one.png"], "cannot be written"),
    ],
)
def test_mistakes_are_reported_and_nothing_is_written(
    run: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "notes.png").write_text("my notes")
    (tmp_path / "folder.png").mkdir()
    before = sorted(tmp_path.iterdir())
    *others, name = arguments
    done = show(run, *others, tmp_path / name)
    assert isinstance(done.exception, UserError)
    assert message in str(done.exception)
    assert done.stdout == ""
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "notes.png").read_text() == "my notes"


def test_heat_without_a_picture_is_one_line(run: Path) -> None:
    assert "say where with --id and --image" in str(show(run, "--id", "2", "--heat").exception)
