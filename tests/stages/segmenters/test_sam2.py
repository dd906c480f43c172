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
    assert_alike,
    box_mention,
    boxes_in,
    mixed_mentions,
    save_images,
)
from helpers.contracts import check_backend
from helpers.tiny_sam import SIDE, save_sam, save_sam2
from helpers.torchvision_on_cpu import needs_torchvision, run_with_torchvision
from PIL import Image
from transformers import Sam2Model

from riveg.config.backend import BuildContext
from riveg.errors import UserError
from riveg.geometry.masks import mask_from_array, mask_iou, mask_to_array
from riveg.images.loader import ImageLoader
from riveg.stages.segmenters.sam2 import Sam2Config
from riveg.types import Box, ImageRef, Issue, Mask
from riveg.vision.runtime.image_worker import prepared
from riveg.vision.runtime.square_images import Preparation, read_preparation
from riveg.vision.segmenters.prompted import PromptedSegmenter
from riveg.vision.segmenters.sam2 import Sam2Network

pytestmark = pytest.mark.slow  # torch and its models, loaded and run

SQUARE = Preparation(SIDE, SIDE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sam2(tmp_path_factory.mktemp("sam2"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageLoader:
    return save_images(tmp_path_factory.mktemp("pictures"))


def build(folder: Path, images: ImageLoader, **fields: Any) -> PromptedSegmenter:
    config = Sam2Config(model=str(folder), device="cpu", **fields)
    return config.build(BuildContext(images))


def masks(sam: PromptedSegmenter, name: str, *boxes: Box) -> tuple[Mask, ...]:
    (answer,) = sam.segment([box_mention(name, *boxes)])
    assert isinstance(answer, tuple), answer
    return answer


def reference(folder: Path, pixels: Any, boxes: tuple[Box, ...]) -> list[Mask]:
    """One forward from the pixels on, as the library does it, but for the torchvision in it."""
    network = Sam2Model.from_pretrained(folder).eval()
    height, width = pixels.shape[:2]
    edges = torch.tensor([[box.x_min, box.y_min, box.x_max, box.y_max] for box in boxes])
    corners = edges.float().reshape(-1, 2, 2)
    corners[..., 0] = corners[..., 0] * (SIDE / width)
    corners[..., 1] = corners[..., 1] * (SIDE / height)
    with torch.inference_mode():
        found = network(
            pixel_values=SQUARE.prepare(pixels),
            input_boxes=corners.reshape(1, -1, 4),
            multimask_output=False,
        )
        grown = torch.nn.functional.interpolate(
            found.pred_masks[0], (height, width), mode="bilinear", align_corners=False
        )
    return [mask_from_array(one[0].numpy()) for one in grown > 0.0]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_equals_one_forward_from_the_pixels_on(folder, images, width, height):
    name, boxes = f"{width}x{height}.png", boxes_in(width, height)
    expected = reference(folder, images.load(ImageRef(name)), boxes)
    found = masks(build(folder, images), name, *boxes)
    for mask, wanted in zip(found, expected, strict=True):
        assert (mask.height, mask.width) == (height, width)
        if mask.source == "sam2":
            assert (mask_to_array(mask) == mask_to_array(wanted)).all()
        else:
            assert not mask_to_array(wanted).any()


_PROCESSED = """
import sys
from pathlib import Path
import numpy as np
from helpers.box_mentions import SIZES, boxes_in, picture
from PIL import Image
from transformers import Sam2ImageProcessor, Sam2Model, Sam2Processor
from riveg.vision.runtime.square_images import read_preparation
folder, answers = Path(sys.argv[1]), Path(sys.argv[2])
processor = Sam2Processor(Sam2ImageProcessor.from_pretrained(folder))
network = Sam2Model.from_pretrained(folder).eval()
for number, (width, height) in enumerate(SIZES):
    shown = picture(width, height, number)
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
def test_equals_the_librarys_processor(folder, images, tmp_path):
    """Pixels and masks, to the bit: the processor itself needs torchvision."""
    run_with_torchvision(_PROCESSED, folder, tmp_path)
    sam = build(folder, images)
    for width, height in SIZES:
        expected = np.load(tmp_path / f"{width}x{height}.npy")
        found = masks(sam, f"{width}x{height}.png", *boxes_in(width, height))
        for mask, wanted in zip(found, expected, strict=True):
            pixels = mask_to_array(mask) if mask.source == "sam2" else wanted & False
            assert (pixels == wanted).all()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_an_image_is_prepared_as_pillow_would(images, width, height):
    """To one level of 255: Pillow and torch round an 8-bit resize apart."""
    pixels = images.load(ImageRef(f"{width}x{height}.png"))
    resized = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    mean, deviation = np.array(SQUARE.mean), np.array(SQUARE.deviation)
    expected = ((np.asarray(resized) / 255 - mean) / deviation).transpose(2, 0, 1)
    prepared = SQUARE.prepare(pixels)
    assert prepared.shape == (1, 3, SIDE, SIDE)
    assert prepared.dtype == torch.float32
    assert np.abs(prepared[0].numpy() - expected).max() < 1.01 / 255 / deviation.min()


def test_a_turned_image_is_cut_upright(folder, images):
    boxes = boxes_in(80, 50)
    upright = images.load(ImageRef("turned.jpg"))
    expected = reference(folder, upright, boxes)
    found = masks(build(folder, images), "turned.jpg", *boxes)
    assert [mask.counts for mask in found] == [mask.counts for mask in expected]
    assert {(mask.height, mask.width) for mask in found} == {(50, 80)}


def test_boxes_move_the_mask(folder, images):
    """Else these tests would show nothing about boxes."""
    found = masks(build(folder, images), "91x37.png", *boxes_in(91, 37))
    assert mask_iou(found[0], found[1]) < 0.98
    assert mask_iou(found[1], found[2]) < 0.98


def test_contract(folder, images):
    """To the pixel where nothing is done together."""
    backend = build(folder, images, batch_size=1, boxes_at_once=1)
    answers = check_backend("segment", backend, mixed_mentions())
    assert [answer.kind for answer in answers if isinstance(answer, Issue)] == ["truncated-image"]


@pytest.mark.parametrize(("batch_size", "boxes_at_once"), [(2, 32), (64, 2), (8, 32)])
def test_answers_do_not_depend_on_what_is_done_together(folder, images, batch_size, boxes_at_once):
    """The logits to 1e-5 of the largest, the masks to what that means on their edge."""
    one = build(folder, images, batch_size=1, boxes_at_once=1)
    other = build(folder, images, batch_size=batch_size, boxes_at_once=boxes_at_once)
    assert_alike(one.segment(mixed_mentions()), other.segment(mixed_mentions()))
    assert_alike(one.segment(mixed_mentions()), other.segment(mixed_mentions()[::-1])[::-1])
    decoded = [
        prepared(images, ImageRef(f"{width}x{height}.png"), one._network.prepare)
        for width, height in SIZES
    ]
    for seen, image, size in zip(other._network.look_at(decoded), decoded, SIZES, strict=True):
        (alone,) = one._network.look_at([image])
        together = other._network._logits(seen, boxes_in(*size))
        single = torch.cat([one._network._logits(alone, [box]) for box in boxes_in(*size)])
        assert (together - single).abs().max() <= 3e-5 * single.abs().max()


def test_short_memory_halves_what_is_done_together(folder, images):
    network = Sam2Model.from_pretrained(folder).eval()
    decoded, boxes = [], []

    def remember_images(_encoder: Any, inputs: Any) -> None:
        decoded.append(len(inputs[0]))
        if len(inputs[0]) > 2:
            raise torch.OutOfMemoryError("pictures")

    def remember_boxes(_decoder: Any, _inputs: Any, named: Any) -> None:
        boxes.append(named["sparse_prompt_embeddings"].shape[1])
        if boxes[-1] > 2:
            raise torch.OutOfMemoryError("boxes")

    network.vision_encoder.register_forward_pre_hook(remember_images)
    network.mask_decoder.register_forward_pre_hook(remember_boxes, with_kwargs=True)
    mentions = mixed_mentions()[:4]
    tight = PromptedSegmenter(images, Sam2Network(network, SQUARE), source="sam2", batch_size=4)
    assert_alike(tight.segment(mentions), build(folder, images).segment(mentions))
    assert decoded == [4, 2, 2]
    assert boxes == [3, 1, 1, 1] * 4


def test_an_empty_mask_becomes_its_box_and_says_so(folder, images):
    network = Sam2Model.from_pretrained(folder).eval()
    network.mask_decoder.register_forward_hook(lambda *answer: (answer[2][0] * 0, *answer[2][1:]))
    sam = PromptedSegmenter(images, Sam2Network(network, SQUARE), source="sam2")
    (mask,) = masks(sam, "91x37.png", Box(10.2, 5, 30, 20.7))
    assert mask.source == "sam2:box"
    assert mask_to_array(mask)[5:21, 10:30].all()
    assert mask_to_array(mask).sum() == 16 * 20


def test_bfloat16_concerns_the_encoder_alone(folder, images):
    half = build(folder, images, dtype="bfloat16")
    assert next(half._network._network.vision_encoder.parameters()).dtype == torch.bfloat16
    assert half._network._network.mask_decoder.iou_token.weight.dtype == torch.float32
    boxes = boxes_in(91, 37)
    exact = masks(build(folder, images), "91x37.png", *boxes)
    for one, other in zip(masks(half, "91x37.png", *boxes), exact, strict=True):
        assert mask_iou(one, other) > 0.95


@pytest.mark.parametrize("name", ["preprocessor_config.json", "processor_config.json"])
def test_the_preparation_is_read_from_the_models_folder(tmp_path, name):
    said = {"image_mean": [0, 0, 0], "image_std": [1, 1, 1], "size": {"height": 8, "width": 6}}
    inside = {"image_processor": said} if name.startswith("processor") else said
    (tmp_path / name).write_text(json.dumps(inside))
    assert read_preparation(tmp_path) == Preparation(8, 6, mean=(0, 0, 0), deviation=(1, 1, 1))


def test_a_folder_that_says_nothing_is_prepared_as_the_published_models(tmp_path):
    assert read_preparation(tmp_path) == Preparation()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ('{"image_mean": [0, 0, 0], "do_resize": false}', "do_resize: false"),
        ('{"image_mean": [0, 0, 0], "resample": 3}', "resample: 3: expected 2"),
        ('{"image_mean": ', "is not JSON"),
    ],
)
def test_what_would_be_prepared_wrongly_is_refused(tmp_path, said, message):
    (tmp_path / "preprocessor_config.json").write_text(said)
    with pytest.raises(UserError, match=message):
        read_preparation(tmp_path)


def test_config(folder, images, tmp_path):
    contents = Sam2Config(model=str(folder)).contents(Path())
    assert set(contents) >= {"model.safetensors", "preprocessor_config.json"}
    with pytest.raises(UserError, match="neither a folder nor in the cache"):
        Sam2Config(model=str(tmp_path / "none")).contents(Path())
    shutil.copy(folder / "config.json", tmp_path)
    with pytest.raises(UserError, match="cannot be loaded as Sam2Model"):
        build(tmp_path, images)
    with pytest.raises(UserError, match="cannot be loaded as Sam2Model"):
        build(save_sam(tmp_path / "sam"), images)
