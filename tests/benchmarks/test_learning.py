"""The drawn world: the same for the same seed, without defects, and what it says is to be seen."""

from __future__ import annotations

import hashlib
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import riveg
from helpers.places import ROOT
from PIL import Image

from riveg.datasets.opening import open_dataset

SIZES = ("--train", "40", "--dev", "8", "--test", "8", "--side", "96")


def draw(folder: Path, *more: str) -> Path:
    command = [sys.executable, str(ROOT / "benchmarks" / "learning.py"), str(folder), *SIZES, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("world"))


def test_riveg_finds_no_defect_in_it(world: Path) -> None:
    done = riveg("data", "check", world)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no defects" in done.stdout


def test_the_same_seed_draws_the_same_bytes(world: Path, tmp_path: Path) -> None:
    draw(tmp_path / "again")
    assert digests(tmp_path / "again") == digests(world.parent)
    draw(tmp_path / "other", "--seed", "2")
    assert digests(tmp_path / "other") != digests(world.parent)


def test_each_box_holds_the_colour_that_the_name_says(world: Path) -> None:
    colours = runpy.run_path(str(ROOT / "benchmarks" / "learning.py"))["COLOURS"]
    shown = hidden = 0
    for sample, gold in open_dataset(str(world), split="train").annotated_samples():
        assert sample.image is not None
        with Image.open(world.parent / "images" / sample.image.path) as opened:
            pixels = np.asarray(opened.convert("RGB"), dtype=np.int64)
        for entity in gold.entities:
            hidden += not entity.boxes
            for box in entity.boxes or ():
                shown += 1
                edges = [round(edge) for edge in (box.y_min, box.y_max, box.x_min, box.x_max)]
                seen = pixels[edges[0] : edges[1], edges[2] : edges[3]].reshape(-1, 3)
                near = {
                    name: int((np.abs(seen - colour).max(axis=1) < 40).sum())
                    for name, colour in colours.items()
                }
                assert max(near, key=lambda name: near[name]) == entity.text[:3].lower()
    assert 0.15 < hidden / (shown + hidden) < 0.5, "about a third is not shown"
