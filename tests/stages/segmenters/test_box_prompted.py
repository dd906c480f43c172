"""What holds for every segmenter that is prompted with boxes and runs in this process.

``segment-anything`` is held to it in :mod:`helpers.segment_anything_cases`: it needs torchvision.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from helpers.box_mentions import (
    SIZES,
    assert_alike,
    assert_same,
    box_mention,
    boxes_in,
    masks_of,
    mixed_mentions,
    network_of,
    save_images,
)
from helpers.contracts import check_backend
from helpers.tiny_sam import SIDE, save_sam, save_sam2
from helpers.tiny_sam3 import SIDE as SIDE_3
from helpers.tiny_sam3 import save_sam3
from PIL import Image

from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import UserError
from riveg.geometry.masks import mask_from_array, mask_iou
from riveg.images.loader import ImageLoader
from riveg.stages.segmenters.sam import SamConfig
from riveg.stages.segmenters.sam2 import Sam2Config
from riveg.stages.segmenters.sam3 import Sam3Config
from riveg.stages.table import SEGMENT
from riveg.types import Box, ImageRef, Issue, Mask
from riveg.vision.runtime.image_worker import prepare_image
from riveg.vision.runtime.square_images import Preparation
from riveg.vision.segmenters.prompted import PromptedSegmenter

pytestmark = pytest.mark.slow  # torch and its models, loaded and run

_HALF = (0.5, 0.5, 0.5)


def sam_masks(folder: Path, pixels: Any, boxes: tuple[Box, ...]) -> list[Mask]:
    """The library's own path: processor, one forward from the pixels on, post-processing."""
    network = transformers.SamModel.from_pretrained(folder).eval()
    processor = transformers.SamProcessor(transformers.SamImageProcessorPil.from_pretrained(folder))
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


def square_masks(
    kind: str, square: Preparation, folder: Path, pixels: Any, boxes: tuple[Box, ...]
) -> list[Mask]:
    """One forward from the pixels on, as the library does it, but for the torchvision in it."""
    network = getattr(transformers, kind).from_pretrained(folder).eval()
    height, width = pixels.shape[:2]
    edges = torch.tensor([[box.x_min, box.y_min, box.x_max, box.y_max] for box in boxes])
    corners = edges.float().reshape(-1, 2, 2)
    corners[..., 0] = corners[..., 0] * (square.width / width)
    corners[..., 1] = corners[..., 1] * (square.height / height)
    with torch.inference_mode():
        found = network(
            pixel_values=square.prepare(pixels),
            input_boxes=corners.reshape(1, -1, 4),
            multimask_output=False,
        )
        grown = torch.nn.functional.interpolate(
            found.pred_masks[0], (height, width), mode="bilinear", align_corners=False
        )
    return [mask_from_array(one[0].numpy()) for one in grown > 0.0]


def sam2_masks(folder: Path, pixels: Any, boxes: tuple[Box, ...]) -> list[Mask]:
    return square_masks("Sam2Model", Preparation(SIDE, SIDE), folder, pixels, boxes)


def sam3_masks(folder: Path, pixels: Any, boxes: tuple[Box, ...]) -> list[Mask]:
    square = Preparation(SIDE_3, SIDE_3, mean=_HALF, deviation=_HALF)
    return square_masks("Sam3TrackerModel", square, folder, pixels, boxes)


@dataclass(frozen=True)
class Case:
    """A backend, a tiny checkpoint of its kind, and the library's masks of an image's boxes.

    ``half``: the submodule that runs in the configured number type, ``whole``: one that does not.
    ``most_alike``: IoU of masks of different boxes is below it; ``least_alike``: IoU of masks in
    bfloat16 and in float32 is above it. ``files``: some that shape answers.
    """

    config: type[BackendConfig[Any]]
    save: Callable[[Path], Path]
    reference: Callable[[Path, Any, tuple[Box, ...]], list[Mask]]
    half: str
    whole: str
    most_alike: float
    least_alike: float
    files: tuple[str, ...]


CASES = {
    "sam": Case(
        SamConfig,
        save_sam,
        sam_masks,
        "vision_encoder.layers.0.attn.qkv",
        "mask_decoder.iou_token",
        0.95,
        0.95,
        ("model.safetensors",),
    ),
    "sam2": Case(
        Sam2Config,
        save_sam2,
        sam2_masks,
        "vision_encoder",
        "mask_decoder.iou_token",
        0.98,
        0.95,
        ("model.safetensors", "preprocessor_config.json"),
    ),
    "sam3": Case(
        Sam3Config,
        save_sam3,
        sam3_masks,
        "vision_encoder.backbone",
        "vision_encoder.neck",
        0.98,
        0.9,
        ("model.safetensors", "processor_config.json"),
    ),
}


@pytest.fixture(scope="module", params=CASES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def case(name: str) -> Case:
    return CASES[name]


@pytest.fixture(scope="module")
def folder(case: Case, name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return case.save(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageLoader:
    return save_images(tmp_path_factory.mktemp("pictures"))


def build(case: Case, folder: Path, images: ImageLoader, **fields: Any) -> PromptedSegmenter:
    config = case.config.model_validate({"model": str(folder), "device": "cpu", **fields})
    built: PromptedSegmenter = config.build(BuildContext(images))
    return built


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_masks_are_the_librarys(
    case: Case, name: str, folder: Path, images: ImageLoader, width: int, height: int
) -> None:
    file, boxes = f"{width}x{height}.png", boxes_in(width, height)
    expected = case.reference(folder, images.load(ImageRef(file)), boxes)
    found = masks_of(build(case, folder, images), file, *boxes)
    assert {(mask.height, mask.width) for mask in found} == {(height, width)}
    assert_same(found, expected, name)


def test_a_turned_image_is_cut_upright(case: Case, folder: Path, images: ImageLoader) -> None:
    boxes = boxes_in(80, 50)
    expected = case.reference(folder, images.load(ImageRef("turned.jpg")), boxes)
    found = masks_of(build(case, folder, images), "turned.jpg", *boxes)
    assert [mask.counts for mask in found] == [mask.counts for mask in expected]
    assert {(mask.height, mask.width) for mask in found} == {(50, 80)}


def test_boxes_move_the_mask(case: Case, folder: Path, images: ImageLoader) -> None:
    """Else these tests would show nothing about boxes."""
    found = masks_of(build(case, folder, images), "91x37.png", *boxes_in(91, 37))
    assert mask_iou(found[0], found[1]) < case.most_alike
    assert mask_iou(found[1], found[2]) < case.most_alike


def test_contract(case: Case, folder: Path, images: ImageLoader) -> None:
    """To the pixel where nothing is done together."""
    backend = build(case, folder, images, batch_size=1, boxes_at_once=1)
    answers = check_backend(SEGMENT, backend, mixed_mentions())
    assert [answer.kind for answer in answers if isinstance(answer, Issue)] == ["truncated-image"]


@pytest.mark.parametrize(("batch_size", "boxes_at_once"), [(2, 32), (64, 2), (8, 32)])
def test_batches_do_not_change_answers(
    case: Case, folder: Path, images: ImageLoader, batch_size: int, boxes_at_once: int
) -> None:
    """The logits to 1e-5 of the largest, the masks to what that means on their edge."""
    one = build(case, folder, images, batch_size=1, boxes_at_once=1)
    other = build(case, folder, images, batch_size=batch_size, boxes_at_once=boxes_at_once)
    assert_alike(one.segment(mixed_mentions()), other.segment(mixed_mentions()))
    assert_alike(one.segment(mixed_mentions()), other.segment(mixed_mentions()[::-1])[::-1])
    network = network_of(other)
    prepared = [
        prepare_image(images, ImageRef(f"{width}x{height}.png"), network.prepare)
        for width, height in SIZES
    ]
    encoded = network.encode_images(prepared)
    for image, single, size in zip(encoded, prepared, SIZES, strict=True):
        (alone,) = network_of(one).encode_images([single])
        together = network._logits(image, boxes_in(*size))
        apart = torch.cat([network_of(one)._logits(alone, [box]) for box in boxes_in(*size)])
        assert (together - apart).abs().max() <= 3e-5 * apart.abs().max()


def test_an_image_is_encoded_once(case: Case, folder: Path, images: ImageLoader) -> None:
    backend = build(case, folder, images)
    encoded: list[int] = []
    encoder = network_of(backend)._network.vision_encoder
    encoder.register_forward_pre_hook(lambda _, inputs: encoded.append(len(inputs[0])))
    mentions = [box_mention("64x64.png", *boxes_in(64, 64)) for _ in range(2)]
    backend.segment([*mentions, box_mention("91x37.png")])
    assert encoded == [1]


def test_short_memory_halves_what_is_done_together(
    case: Case, folder: Path, images: ImageLoader
) -> None:
    tight = build(case, folder, images, batch_size=4)
    encoded, boxes = [], []

    def encode(_encoder: Any, inputs: Any) -> None:
        encoded.append(len(inputs[0]))
        if len(inputs[0]) > 2:
            raise torch.OutOfMemoryError("pictures")

    def decode(_decoder: Any, _inputs: Any, named: Any) -> None:
        boxes.append(named["sparse_prompt_embeddings"].shape[1])
        if boxes[-1] > 2:
            raise torch.OutOfMemoryError("boxes")

    network = network_of(tight)._network
    network.vision_encoder.register_forward_pre_hook(encode)
    network.mask_decoder.register_forward_pre_hook(decode, with_kwargs=True)
    mentions = mixed_mentions()[:4]
    assert_alike(tight.segment(mentions), build(case, folder, images).segment(mentions))
    assert encoded == [4, 2, 2]
    assert boxes == [3, 1, 1, 1] * 4


def test_an_empty_mask_becomes_its_box_and_says_so(
    case: Case, name: str, folder: Path, images: ImageLoader
) -> None:
    backend = build(case, folder, images)
    network_of(backend)._network.mask_decoder.register_forward_hook(
        lambda _decoder, _inputs, answer: (answer[0] * 0 - 1, *answer[1:])
    )
    (mask,) = masks_of(backend, "91x37.png", Box(10.2, 5, 30, 20.7))
    assert mask.source == f"{name}:box"
    assert mask.to_numpy()[5:21, 10:30].all()
    assert mask.to_numpy().sum() == 16 * 20


def test_bfloat16_concerns_the_encoder_alone(case: Case, folder: Path, images: ImageLoader) -> None:
    half = build(case, folder, images, dtype="bfloat16")
    network = network_of(half)._network
    assert next(network.get_submodule(case.half).parameters()).dtype == torch.bfloat16
    assert next(network.get_submodule(case.whole).parameters()).dtype == torch.float32
    assert network.mask_decoder.iou_token.weight.dtype == torch.float32
    boxes = boxes_in(91, 37)
    exact = masks_of(build(case, folder, images), "91x37.png", *boxes)
    for one, other in zip(masks_of(half, "91x37.png", *boxes), exact, strict=True):
        assert mask_iou(one, other) > case.least_alike


def test_workers_can_prepare_images(case: Case, folder: Path, images: ImageLoader) -> None:
    network = network_of(build(case, folder, images))
    sent = pickle.loads(pickle.dumps(network.prepare))
    pixels = images.load(ImageRef("33x130.png"))
    torch.testing.assert_close(sent(pixels), network.prepare(pixels), rtol=0, atol=0)


def test_contents_are_those_of_the_folder(case: Case, folder: Path, tmp_path: Path) -> None:
    contents = case.config.model_validate({"model": str(folder)}).contents(Path())
    assert set(contents) >= {*case.files}
    with pytest.raises(UserError, match="neither a folder nor in the cache"):
        case.config.model_validate({"model": str(tmp_path / "none")}).contents(Path())
