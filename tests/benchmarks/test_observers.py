"""The benchmark of what the embedded networks see runs on any folder with gold."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from helpers.places import QUICKSTART_IMAGES, ROOT
from PIL import Image

WOMAN, SLEEVES = (22, 14, 364, 512), [[30, 512], [60, 300], [190, 20], [270, 40], [360, 512]]


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "benchmarks" / "observers.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = []
    for name, objects, polygons in (
        ("astronaut", [("person", WOMAN)], [{"label": "person", "polygon": SLEEVES}]),
        ("rocket", [], None),
        ("cat", [("cat", (90, 10, 440, 290))], []),
    ):
        image = Image.open(next(QUICKSTART_IMAGES.glob(f"*{name}*"))).convert("RGB")
        image.save(tmp_path / f"{name}.png")
        boxes = [{"label": label, "box": box} for label, box in objects]
        width, height = image.size
        rows.append(
            {
                "image": f"{name}.png",
                "width": width,
                "height": height,
                "objects": boxes,
                "polygons": polygons,
            }
        )
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.mark.slow  # runs the whole benchmark
@pytest.mark.skipif(
    not hasattr(cv2, "CascadeClassifier"), reason="what was replaced needs OpenCV < 5"
)
def test_the_figures_are_printed_and_written(folder: Path, tmp_path: Path) -> None:
    done = run("--data", str(folder), "--json", str(tmp_path / "figures.json"))
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "1 of 1 1.00" in done.stdout
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["people"]["NanoDet"]["large"] == {"hits": 1, "of": 1}
    assert figures["people"]["NanoDet"]["false"] == {"hits": 0, "of": 2}
    assert figures["things"]["large"] == {"hits": 1, "of": 1}
    filled = {"filled": {"hits": 1, "of": 1}, "counted": {"hits": 1, "of": 1}}
    assert figures["cut-outs"]["people"] == filled
    assert figures["cut-outs"]["other things"]["counted"] == {"hits": 0, "of": 1}
    assert figures["masks"]["lone, evidence"]["sources"] == {"selfie": 1}
    assert figures["masks"]["gold boxes, evidence"]["iou"] > 0.6
    assert figures["masks"]["gold boxes, ellipse"]["sources"] == {"ellipse": 1}


def test_a_folder_without_gold_is_one_line(tmp_path: Path) -> None:
    done = run("--data", str(tmp_path))
    assert done.returncode == 1
    assert (
        done.stderr == f"{tmp_path / 'gold.jsonl'}: not there; --help says what the folder holds\n"
    )
