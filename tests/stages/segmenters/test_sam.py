from __future__ import annotations

import pickle
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
from helpers.tiny_sam import save_sam
from PIL import Image
from transformers import SamImageProcessorPil, SamModel, SamProcessor

from riveg.config.backend import BuildContext
from riveg.errors import UserError
from riveg.geometry.masks import mask_from_array, mask_iou, mask_to_array
from riveg.images.headers import ImageLimits
from riveg.images.loader import ImageLoader
from riveg.stages.segmenters.sam import SamConfig, SamNetwork
from riveg.types import Box, ImageRef, Issue, Mask
from riveg.vision.runtime.image_worker import prepared
from riveg.vision.segmenters.prompted import PromptedSegmenter

pytestmark = pytest.mark.slow  # torch and its models, loaded and run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sam(tmp_path_factory.mktemp("sam"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageLoader:
    return save_images(tmp_path_factory.mktemp("pictures"))


def build(folder: Path, images: ImageLoader, **fields: Any) -> PromptedSegmenter:
    config = SamConfig(model=str(folder), device="cpu", **fields)
    return config.build(BuildContext(images))


def masks(sam: PromptedSegmenter, name: str, *boxes: Box) -> tuple[Mask, ...]:
    (answer,) = sam.segment([box_mention(name, *boxes)])
    assert isinstance(answer, tuple), answer
    return answer


def reference(folder: Path, pixels: Any, boxes: tuple[Box, ...]) -> list[Mask]:
    """The library's own path: processor, one forward from the pixels on, post-processing."""
    network = SamModel.from_pretrained(folder).eval()
    processor = SamProcessor(SamImageProcessorPil.from_pretrained(folder))
    edges = [[box.x_min, box.y_min, box.x_max, box.y_max] for box in boxes]
    inputs = processor(Image.fromarray(pixels), input_boxes=[edges], return_tensors="pt")
    sizes = inputs["original_sizes"], inputs["reshaped_input_sizes"]
    with torch.inference_mode():
        found = network(
            pixel_values=inputs["pixel_values"],
            input_boxes=inputs["input_boxes"],
            multimask_output=False,
        )
    (cut,) = processor.post_process_masks(found.pred_masks, *sizes)
    return [mask_from_array(one[0].numpy()) for one in cut]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_equals_the_librarys_path(folder, images, width, height):
    name, boxes = f"{width}x{height}.png", boxes_in(width, height)
    expected = reference(folder, images.load(ImageRef(name)), boxes)
    found = masks(build(folder, images), name, *boxes)
    for mask, wanted in zip(found, expected, strict=True):
        assert (mask.height, mask.width) == (height, width)
        if mask.source == "sam":
            assert (mask_to_array(mask) == mask_to_array(wanted)).all()
        else:
            assert not mask_to_array(wanted).any()


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
    assert mask_iou(found[0], found[1]) < 0.95
    assert mask_iou(found[1], found[2]) < 0.95


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


class Counting(SamModel):
    """Counts images that are encoded and boxes that are decoded; has memory for two at once."""

    def get_image_embeddings(self, pixel_values: Any, **more: Any) -> Any:
        self.images.append(len(pixel_values))
        if len(pixel_values) > 2:
            raise torch.OutOfMemoryError("pictures")
        return super().get_image_embeddings(pixel_values, **more)

    def forward(self, *, input_boxes: Any, **more: Any) -> Any:
        self.boxes.append(input_boxes.shape[1])
        if input_boxes.shape[1] > 2:
            raise torch.OutOfMemoryError("boxes")
        return super().forward(input_boxes=input_boxes, **more)


def test_short_memory_halves_what_is_done_together(folder, images):
    network = Counting.from_pretrained(folder).eval()
    network.images, network.boxes = [], []
    processor = SamImageProcessorPil.from_pretrained(folder)
    tight = PromptedSegmenter(images, SamNetwork(network, processor), source="sam", batch_size=4)
    mentions = mixed_mentions()[:4]
    assert_alike(tight.segment(mentions), build(folder, images).segment(mentions))
    assert network.images == [4, 2, 2]
    assert network.boxes == [3, 1, 1, 1] * 4


def test_a_side_that_shrinks_to_nothing_stays_a_pixel(folder, tmp_path):
    Image.new("RGB", (2, 1000), "red").save(tmp_path / "thread.png")
    images = ImageLoader([tmp_path], limits=ImageLimits(min_side=1))
    (mask,) = masks(build(folder, images), "thread.png", Box(0, 100, 2, 900))
    assert (mask.height, mask.width) == (1000, 2)
    with pytest.raises(ValueError, match="width=0"):
        reference(folder, np.zeros((1000, 2, 3), dtype=np.uint8), (Box(0, 100, 2, 900),))


def test_an_empty_mask_becomes_its_box_and_says_so(folder, images):
    network = SamModel.from_pretrained(folder).eval()
    network.mask_decoder.register_forward_hook(lambda *answer: (answer[2][0] * 0 - 1, answer[2][1]))
    own = SamNetwork(network, SamImageProcessorPil.from_pretrained(folder))
    sam = PromptedSegmenter(images, own, source="sam")
    (mask,) = masks(sam, "91x37.png", Box(10.2, 5, 30, 20.7))
    assert mask.source == "sam:box"
    assert mask_to_array(mask)[5:21, 10:30].all()
    assert mask_to_array(mask).sum() == 16 * 20


def test_bfloat16_concerns_the_encoder_alone(folder, images):
    half = build(folder, images, dtype="bfloat16")
    assert half._network._network.vision_encoder.layers[0].attn.qkv.weight.dtype == torch.bfloat16
    assert half._network._network.mask_decoder.iou_token.weight.dtype == torch.float32
    boxes = boxes_in(91, 37)
    exact = masks(build(folder, images), "91x37.png", *boxes)
    for one, other in zip(masks(half, "91x37.png", *boxes), exact, strict=True):
        assert mask_iou(one, other) > 0.95


def test_workers_can_prepare_images(folder, images):
    network = build(folder, images)._network
    sent = pickle.loads(pickle.dumps(network.prepare))
    pixels = images.load(ImageRef("33x130.png"))
    found, expected = sent(pixels), network.prepare(pixels)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_config(folder, images, tmp_path):
    assert set(SamConfig(model=str(folder)).contents(Path())) >= {"model.safetensors"}
    with pytest.raises(UserError, match="neither a folder nor in the cache"):
        SamConfig(model=str(tmp_path / "none")).contents(Path())
    with pytest.raises(UserError, match="cannot be loaded as SamModel"):
        build(tmp_path, images)
