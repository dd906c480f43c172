"""The vision networks that ship: as their card says, in the wheel, and seeing what is there."""

import hashlib
import re
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hatchling.builders.wheel import WheelBuilder
from helpers.places import QUICKSTART_IMAGES, ROOT
from PIL import Image, ImageOps

from riveg.files import asset

FOLDER = asset("vision")
CARD = (FOLDER / "CARD.md").read_text(encoding="utf-8")
NANODET, FACE, SELFIE = FILES = (
    "nanodet-g-416-int8w.onnx",
    "mediapipe-face-full-192-fp16w.onnx",
    "mediapipe-selfie-256-fp16w.onnx",
)
MOST_BYTES = 5_300_000

SHAPES: dict[str, dict[str, list[int]]] = {
    NANODET: {
        "image": [1, 3, 416, 416],
        "scores_8": [1, 2704, 80],
        "scores_16": [1, 676, 80],
        "scores_32": [1, 169, 80],
        "bins_8": [1, 2704, 44],
        "bins_16": [1, 676, 44],
        "bins_32": [1, 169, 44],
    },
    FACE: {"image": [1, 192, 192, 3], "boxes": [1, 2304, 16], "scores": [1, 2304, 1]},
    SELFIE: {"image": [1, 256, 256, 3], "mask": [1, 256, 256, 1]},
}


def session(name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(FOLDER / name, options, providers=["CPUExecutionProvider"])


def answers(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs of a network by name, for an input without its first axis."""
    opened = session(name)
    names = [output.name for output in opened.get_outputs()]
    inputs = {"image": np.ascontiguousarray(values[None], dtype=np.float32)}
    return dict(zip(names, opened.run(names, inputs), strict=True))


def quickstart_image(name: str, side: int) -> np.ndarray:
    with Image.open(QUICKSTART_IMAGES / name) as opened:
        square = ImageOps.pad(opened.convert("RGB"), (side, side))
    return np.asarray(square, dtype=np.float32)


def noise(side: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (side, side, 3)).astype(np.float32)


def nanodet_scores(pixels: np.ndarray) -> np.ndarray:
    """Score of each class over the whole image, *shape* ``(80,)``."""
    scaled = (pixels[..., ::-1] - (103.53, 116.28, 123.675)) / (57.375, 57.12, 58.395)
    found = answers(NANODET, scaled.transpose(2, 0, 1))
    scores = np.concatenate([found[f"scores_{stride}"][0] for stride in (8, 16, 32)])
    assert scores.min() >= 0
    assert scores.max() <= 1
    best: np.ndarray = scores.max(axis=0)
    return best


def test_the_card_names_the_files_with_their_sizes_and_digests() -> None:
    rows = re.findall(r"\| `(\S+\.onnx)` \|[^|]*\| (\d+) \| `([0-9a-f]{64})` \|", CARD)
    found = {
        path.name: (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in FOLDER.glob("*.onnx")
    }
    assert {name: (int(size), digest) for name, size, digest in rows} == found
    assert {*found} == {*FILES}


def test_they_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.onnx")) < MOST_BYTES


@pytest.mark.parametrize("name", FILES)
def test_inputs_and_outputs_are_those_of_the_card(name: str) -> None:
    opened = session(name)
    values = [*opened.get_inputs(), *opened.get_outputs()]
    assert {value.name: value.shape for value in values} == SHAPES[name]
    assert {value.type for value in values} == {"tensor(float)"}
    assert all(f"`{value.name}`" in CARD for value in values)


@pytest.mark.parametrize("name", FILES)
def test_a_file_says_where_it_comes_from_and_its_licence(name: str) -> None:
    description = session(name).get_modelmeta().description
    assert "Apache-2.0" in description
    assert "Changed: converted to ONNX" in description


@pytest.mark.parametrize("name", FILES)
def test_answers_are_the_same_each_time(name: str) -> None:
    shape = SHAPES[name]["image"][1:]
    values = np.random.default_rng(3).standard_normal(shape)
    first, second = answers(name, values), answers(name, values)
    for output, array in first.items():
        assert list(array.shape) == SHAPES[name][output]
        assert np.isfinite(array).all()
        assert (array == second[output]).all()


@pytest.mark.parametrize(("name", "label"), [("qs01-astronaut.jpg", 0), ("qs03-cat.jpg", 15)])
def test_nanodet_sees_a_person_and_a_cat(name: str, label: int) -> None:
    scores = nanodet_scores(quickstart_image(name, 416))
    assert scores.argmax() == label
    assert scores[label] >= 0.5


@pytest.mark.parametrize("name", ["qs02-rocket.jpg", "qs03-cat.jpg", "qs04-coffee.jpg"])
def test_nanodet_sees_nobody_where_nobody_is(name: str) -> None:
    assert nanodet_scores(quickstart_image(name, 416))[0] < 0.4


def test_the_face_network_sees_the_face_of_a_portrait_and_none_in_noise() -> None:
    def best(pixels: np.ndarray) -> float:
        return float(answers(FACE, pixels / 127.5 - 1)["scores"].max())

    assert best(quickstart_image("qs01-astronaut.jpg", 192)) > 1
    assert best(noise(192)) < -1


def test_selfie_segmentation_finds_the_person_of_a_portrait() -> None:
    mask = answers(SELFIE, quickstart_image("qs01-astronaut.jpg", 256) / 255)["mask"]
    assert mask.min() >= 0
    assert mask.max() <= 1
    assert 0.2 < (mask >= 0.5).mean() < 0.8
    nothing = answers(SELFIE, noise(256) / 255)["mask"]
    assert (nothing >= 0.5).mean() < 0.01


def test_licences_lie_beside_them() -> None:
    notice = (FOLDER / "NOTICE").read_text(encoding="utf-8")
    assert all(name in notice for name in FILES)
    assert "Permission is hereby granted, free of charge" in notice
    assert "Apache License" in (FOLDER / "LICENSE").read_text(encoding="utf-8")


def test_the_card_has_a_place_for_measurements() -> None:
    before, mark, _ = CARD.partition("<!-- benchmarks/observers.py: end -->")
    assert mark
    assert "<!-- benchmarks/observers.py:" in before


@pytest.mark.slow
def test_a_wheel_holds_them_all(tmp_path: Path) -> None:
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(built) as wheel:
        for path in FOLDER.iterdir():
            if path.is_file():
                assert wheel.read(f"riveg/assets/vision/{path.name}") == path.read_bytes()
