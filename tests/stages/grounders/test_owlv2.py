"""What is particular to ``owlv2``; the rest is in ``test_detectors.py``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.image_mentions import mentions_in
from helpers.tiny_owlv2 import save_owlv2
from PIL import Image

pytestmark = pytest.mark.slow  # torch and its models, loaded and run

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from riveg.config.backend import BuildContext  # noqa: E402
from riveg.images.headers import ImageLimits  # noqa: E402
from riveg.images.loader import ImageLoader  # noqa: E402
from riveg.protocols import Grounder, Mention  # noqa: E402
from riveg.stages.grounders.owlv2 import Owlv2Config  # noqa: E402
from riveg.vision.detectors.owlv2 import Owlv2Network  # noqa: E402
from riveg.vision.runtime.options import TorchOptions  # noqa: E402

SIZES = {
    "odd": (60, 83),
    "tall": (91, 40),
    "flat": (64, 201),
    "three-rows": (3, 50),
    "narrow": (300, 2),
    "one-column": (300, 1),
}
ALL = {"regions": "many", "top_k": 100, "box_threshold": 0.0, "overlap": 1.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_owlv2(tmp_path_factory.mktemp("owlv2"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    numbers = np.random.default_rng(3)
    for name, (height, width) in SIZES.items():
        pixels = numbers.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{name}.png")
    return root


@cache
def loaded(folder: Path) -> Owlv2Network:
    return Owlv2Network(folder, TorchOptions(model="-", device="cpu"))


def images_of(images: Path) -> ImageLoader:
    return ImageLoader([images], limits=ImageLimits(min_side=1))


def build_on(network: Owlv2Network, image_folder: Path, **fields: Any) -> Grounder:
    config = Owlv2Config(model="-", device="cpu", **{"box_threshold": 0.0, **fields})
    return config.build_on(network, BuildContext(images=images_of(image_folder)))


def backend(folder: Path, images: Path, **fields: Any) -> Grounder:
    return build_on(loaded(folder), images, **fields)


def many_mentions() -> list[Mention]:
    return [
        *mentions_in("odd.png", "red man", "dog", "ann lee"),
        *mentions_in("tall.png", "bob"),
        *mentions_in("three-rows.png", "stage", "dog"),
        *mentions_in("flat.png", "oslo city", "bob"),
        *mentions_in("narrow.png", "dog"),
        *mentions_in("one-column.png", "dog"),
    ]


@pytest.mark.parametrize("name", ["odd", "tall", "flat", "one-column"])
def test_answers_are_those_of_the_library(name: str, folder: Path, images: Path) -> None:
    network = transformers.Owlv2ForObjectDetection.from_pretrained(folder).eval()
    processor = transformers.Owlv2Processor(
        transformers.Owlv2ImageProcessorPil.from_pretrained(folder),
        transformers.AutoTokenizer.from_pretrained(folder),
    )
    with Image.open(images / f"{name}.png") as opened:
        image = opened.convert("RGB")
    texts = ["red man", "Dog with hat"]
    answers = backend(folder, images, **ALL).ground(mentions_in(f"{name}.png", *texts))
    for text, answer in zip(texts, answers, strict=True):
        inputs = processor(images=image, text=[[f"a photo of {text}"]], return_tensors="pt")
        with torch.inference_mode():
            found = processor.post_process_grounded_object_detection(
                network(**inputs), threshold=0.0, target_sizes=[(image.height, image.width)]
            )[0]
        limits = np.array([image.width, image.height] * 2)
        boxes = np.clip(found["boxes"].numpy(), 0, limits)
        sides = boxes.round(1)
        inside = (sides[:, 2:] > sides[:, :2]).all(1)
        right = sorted(found["scores"].numpy()[inside], reverse=True)
        assert isinstance(answer, tuple)
        assert len(answer) == len(right)
        assert len(right) > 5 or min(image.size) == 1
        assert [region.score for region in answer] == pytest.approx(right, abs=6e-5)
        for region in answer:
            box = region.box
            edges = np.array([box.x_min, box.y_min, box.x_max, box.y_max])
            assert np.abs(boxes - edges).max(axis=1).min() < 0.06


class Watched(Owlv2Network):
    """Counts the images, and has memory for so many."""

    room = 99

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.seen: list[int] = []

    def encode_images(self, pixels: Any) -> Any:
        self.seen.append(len(pixels))
        if len(pixels) > self.room:
            raise torch.OutOfMemoryError("no room")
        return super().encode_images(pixels)


def test_images_are_seen_once_and_in_halves_where_memory_is_short(
    folder: Path, images: Path
) -> None:
    network = Watched(folder, TorchOptions(model="-", device="cpu"))
    asking = build_on(network, images)
    right = asking.ground(many_mentions())
    assert network.seen == [6]
    network.room = 2
    assert asking.ground(many_mentions()) == right
    assert network.seen[1:] == [6, 3, 1, 1, 1, 1, 1, 1]


def test_bfloat16_keeps_boxes_fine(folder: Path) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    boxes = []
    for dtype in ("float32", "bfloat16"):
        network = Owlv2Network(folder, TorchOptions(model="-", device="cpu", dtype=dtype))
        (seen,) = network.encode_images([network.prepare(pixels)])
        boxes.append(seen.boxes)
    assert 0 < np.abs(boxes[0] - boxes[1]).max() < 0.05
