"""What is particular to ``sam2``; the rest is in ``test_box_prompted.py``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.box_mentions import (
    SIZES,
    boxes_in,
    masks_of,
    save_images,
)
from helpers.tiny_sam import SIDE, save_sam, save_sam2
from helpers.torchvision_on_cpu import needs_torchvision, run_with_torchvision
from PIL import Image

from riveg.config.backend import BuildContext
from riveg.errors import UserError
from riveg.images.loader import ImageLoader
from riveg.protocols import Segmenter
from riveg.stages.segmenters.sam2 import Sam2Config
from riveg.types import ImageRef
from riveg.vision.runtime.square_images import Preparation, read_preparation

pytestmark = pytest.mark.slow  # torch and its models, loaded and run

SQUARE = Preparation(SIDE, SIDE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sam2(tmp_path_factory.mktemp("sam2"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageLoader:
    return save_images(tmp_path_factory.mktemp("pictures"))


def build(folder: Path, images: ImageLoader, **fields: Any) -> Segmenter:
    config = Sam2Config(model=str(folder), device="cpu", **fields)
    return config.build(BuildContext(images))


_PROCESSED = """
import sys
from pathlib import Path
import numpy as np
from helpers.box_mentions import SIZES, boxes_in, image
from PIL import Image
from transformers import Sam2ImageProcessor, Sam2Model, Sam2Processor
from riveg.vision.runtime.square_images import read_preparation
folder, answers = Path(sys.argv[1]), Path(sys.argv[2])
processor = Sam2Processor(Sam2ImageProcessor.from_pretrained(folder))
network = Sam2Model.from_pretrained(folder).eval()
for number, (width, height) in enumerate(SIZES):
    shown = image(width, height, number)
    edges = [[box.x_min, box.y_min, box.x_max, box.y_max] for box in boxes_in(width, height)]
    inputs = processor(shown, input_boxes=[edges], return_tensors="pt")
    own = read_preparation(folder).prepare(np.array(shown))
    assert (inputs["pixel_values"] == own).all(), (width, height)
    with torch.inference_mode():
        found = network(
            pixel_values=inputs["pixel_values"],
            input_boxes=inputs["input_boxes"],
            multimask_output=False,
        )
    (masks,) = processor.post_process_masks(found.pred_masks, inputs["original_sizes"])
    np.save(answers / f"{width}x{height}.npy", masks[:, 0].numpy())
"""


@pytest.mark.slow
@needs_torchvision
def test_equals_the_librarys_processor(folder: Path, images: ImageLoader, tmp_path: Path) -> None:
    """Pixels and masks, to the bit: the processor itself needs torchvision."""
    run_with_torchvision(_PROCESSED, folder, tmp_path)
    sam = build(folder, images)
    for width, height in SIZES:
        expected = np.load(tmp_path / f"{width}x{height}.npy")
        found = masks_of(sam, f"{width}x{height}.png", *boxes_in(width, height))
        for mask, wanted in zip(found, expected, strict=True):
            pixels = mask.to_numpy() if mask.source == "sam2" else wanted & False
            assert (pixels == wanted).all()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_an_image_is_prepared_as_pillow_would(images: ImageLoader, width: int, height: int) -> None:
    """To one level of 255: Pillow and torch round an 8-bit resize apart."""
    pixels = images.load(ImageRef(f"{width}x{height}.png"))
    resized = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    mean, deviation = np.array(SQUARE.mean), np.array(SQUARE.deviation)
    expected = ((np.asarray(resized) / 255 - mean) / deviation).transpose(2, 0, 1)
    values = SQUARE.prepare(pixels)
    assert values.shape == (1, 3, SIDE, SIDE)
    assert values.dtype == torch.float32
    assert np.abs(values[0].numpy() - expected).max() < 1.01 / 255 / deviation.min()


@pytest.mark.parametrize("name", ["preprocessor_config.json", "processor_config.json"])
def test_the_preparation_is_read_from_the_models_folder(tmp_path: Path, name: str) -> None:
    said = {"image_mean": [0, 0, 0], "image_std": [1, 1, 1], "size": {"height": 8, "width": 6}}
    inside = {"image_processor": said} if name.startswith("processor") else said
    (tmp_path / name).write_text(json.dumps(inside))
    assert read_preparation(tmp_path) == Preparation(8, 6, mean=(0, 0, 0), deviation=(1, 1, 1))


def test_a_folder_that_says_nothing_is_prepared_as_the_published_models(tmp_path: Path) -> None:
    assert read_preparation(tmp_path) == Preparation()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ('{"image_mean": [0, 0, 0], "do_resize": false}', "do_resize: false"),
        ('{"image_mean": [0, 0, 0], "resample": 3}', "resample: 3: expected 2"),
        ('{"image_mean": ', "is not JSON"),
    ],
)
def test_what_would_be_prepared_wrongly_is_refused(tmp_path: Path, said: str, message: str) -> None:
    (tmp_path / "preprocessor_config.json").write_text(said)
    with pytest.raises(UserError, match=message):
        read_preparation(tmp_path)


def test_another_model_is_refused(folder: Path, images: ImageLoader, tmp_path: Path) -> None:
    shutil.copy(folder / "config.json", tmp_path)
    with pytest.raises(UserError, match="cannot be loaded as Sam2Model"):
        build(tmp_path, images)
    with pytest.raises(UserError, match="cannot be loaded as Sam2Model"):
        build(save_sam(tmp_path / "sam"), images)
