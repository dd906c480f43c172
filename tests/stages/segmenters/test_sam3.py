"""What is particular to ``sam3``; boxes are tested in ``test_box_prompted.py``, too."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
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
from helpers.tiny_sam3 import QUERIES, SIDE, save_sam3
from helpers.torchvision_on_cpu import needs_torchvision, run_with_torchvision
from transformers import AutoTokenizer, Sam3Model

from riveg.config.backend import BuildContext
from riveg.errors import UserError
from riveg.geometry.masks import mask_from_array, mask_iou
from riveg.images.loader import ImageLoader
from riveg.protocols import Mention, PartialAnswer
from riveg.stages.segmenters.sam3 import Sam3Config
from riveg.stages.table import SEGMENT
from riveg.types import Box, ImageRef, Issue, Mask
from riveg.vision.runtime.image_worker import prepare_image
from riveg.vision.runtime.square_images import Preparation
from riveg.vision.segmenters.prompted import BoxPrompt, PromptedSegmenter

pytestmark = pytest.mark.slow  # torch and its models, loaded and run

HALF = (0.5, 0.5, 0.5)
SQUARE = Preparation(SIDE, SIDE, mean=HALF, deviation=HALF)
TEXTS = ("the woman in a red shirt", "team")
BY_TEXT: dict[str, Any] = {"prompt": "text", "threshold": 0.0, "overlap": 0.01}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sam3(tmp_path_factory.mktemp("sam3"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageLoader:
    return save_images(tmp_path_factory.mktemp("pictures"))


def build(folder: Path, images: ImageLoader, **fields: Any) -> PromptedSegmenter:
    built = Sam3Config(model=str(folder), device="cpu", **fields).build(BuildContext(images))
    assert isinstance(built, PromptedSegmenter)
    return built


def saying(mention: Mention, text: str) -> Mention:
    return replace(mention, entity=replace(mention.entity, expression=text))


def text_mentions() -> list[Mention]:
    return [saying(one, TEXTS[number % 2]) for number, one in enumerate(mixed_mentions())]


def masks(answer: Any) -> tuple[Mask, ...]:
    found = answer.answer if isinstance(answer, PartialAnswer) else answer
    assert isinstance(found, tuple), answer
    return found


def instances(folder: Path, pixels: Any, text: str) -> list[tuple[Box, Mask]]:
    """Every one, by one forward from the pixels on."""
    network = Sam3Model.from_pretrained(folder).eval()
    read = AutoTokenizer.from_pretrained(folder)(
        text, padding="max_length", max_length=32, return_tensors="pt"
    )
    height, width = pixels.shape[:2]
    with torch.inference_mode():
        found = network(
            pixel_values=SQUARE.prepare(pixels),
            input_ids=read["input_ids"],
            attention_mask=read["attention_mask"],
        )
        grown = torch.nn.functional.interpolate(
            found.pred_masks.sigmoid(), (height, width), mode="bilinear", align_corners=False
        )
    limits = np.array([width, height] * 2)
    edges = np.clip(found.pred_boxes[0].double().numpy() * limits, 0, limits)
    pixels = (grown[0] > 0.5).numpy()
    return [
        (Box(*map(float, one)), mask_from_array(mask))
        for one, mask in zip(edges, pixels, strict=True)
    ]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_texts_instance_gives_its_mask(
    folder: Path, images: ImageLoader, width: int, height: int
) -> None:
    """A region that is an instance's box gets that instance's mask."""
    name = f"{width}x{height}.png"
    sam = build(folder, images, **BY_TEXT)
    for text in TEXTS:
        wanted = instances(folder, images.load(ImageRef(name)), text)
        assert len(wanted) == QUERIES
        wanted = [one for one in wanted if one[0].area > 0]
        mention = saying(box_mention(name, *[box for box, _ in wanted]), text)
        (answer,) = sam.segment([mention])
        assert_same(masks(answer), [mask for _, mask in wanted], "sam3")


def test_texts_move_the_mask(folder: Path, images: ImageLoader) -> None:
    """Else these tests would show nothing about texts."""
    sam = build(folder, images, **BY_TEXT)
    mention = box_mention("64x64.png", Box(0, 0, 64, 64))
    (one,), (other,) = (masks(sam.segment([saying(mention, text)])[0]) for text in TEXTS)
    assert mask_iou(one, other) < 0.98


_PROCESSED = """
import sys
from pathlib import Path
import numpy as np
from helpers.box_mentions import SIZES, boxes_in, image
from transformers import (
    AutoTokenizer, Sam3ImageProcessor, Sam3Model, Sam3Processor, Sam3TrackerModel,
    Sam3TrackerProcessor,
)
from riveg.vision.runtime.square_images import read_preparation
folder, answers = Path(sys.argv[1]), Path(sys.argv[2])
images = Sam3ImageProcessor.from_pretrained(folder)
tracker = Sam3TrackerProcessor(images, target_size=images.size["height"])
tracking = Sam3TrackerModel.from_pretrained(folder).eval()
detector = Sam3Processor(images, AutoTokenizer.from_pretrained(folder))
detecting = Sam3Model.from_pretrained(folder).eval()
for number, (width, height) in enumerate(SIZES):
    shown = image(width, height, number)
    edges = [[box.x_min, box.y_min, box.x_max, box.y_max] for box in boxes_in(width, height)]
    inputs = tracker(shown, input_boxes=[edges], return_tensors="pt")
    own = read_preparation(folder).prepare(np.array(shown))
    assert (inputs["pixel_values"] == own).all(), (width, height)
    texts = detector(images=shown, text="the woman in a red shirt", return_tensors="pt")
    assert (texts["pixel_values"] == own).all(), (width, height)
    with torch.inference_mode():
        found = tracking(
            pixel_values=inputs["pixel_values"],
            input_boxes=inputs["input_boxes"],
            multimask_output=False,
        )
        seen = detecting(
            pixel_values=texts["pixel_values"],
            input_ids=texts["input_ids"],
            attention_mask=texts["attention_mask"],
        )
    (masks,) = tracker.post_process_masks(found.pred_masks, inputs["original_sizes"])
    np.save(answers / f"{width}x{height}.npy", masks[:, 0].numpy())
    (one,) = detector.post_process_instance_segmentation(
        seen, threshold=0.0, target_sizes=[(height, width)]
    )
    np.save(answers / f"{width}x{height}-texts.npy", one["masks"].numpy().astype(bool))
    np.save(answers / f"{width}x{height}-boxes.npy", one["boxes"].numpy())
"""


@needs_torchvision
def test_equals_the_librarys_processors(folder: Path, images: ImageLoader, tmp_path: Path) -> None:
    """Pixels and masks, to the bit: the processors themselves need torchvision."""
    run_with_torchvision(_PROCESSED, folder, tmp_path)
    by_box, by_text = build(folder, images), build(folder, images, **BY_TEXT)
    for width, height in SIZES:
        name, file = f"{width}x{height}.png", tmp_path / f"{width}x{height}"
        expected = np.load(f"{file}.npy")
        found = masks_of(by_box, name, *boxes_in(width, height))
        assert_same(found, [mask_from_array(one) for one in expected], "sam3")
        edges = np.clip(np.load(f"{file}-boxes.npy").astype(float), 0, [width, height] * 2)
        rows = [row for row, one in enumerate(edges) if (one[2:] > one[:2]).all()]
        mention = box_mention(name, *[Box(*map(float, edges[row])) for row in rows])
        (answer,) = by_text.segment([saying(mention, TEXTS[0])])
        expected = np.load(f"{file}-texts.npy")
        assert_same(masks(answer), [mask_from_array(expected[row]) for row in rows], "sam3")


def test_contract(folder: Path, images: ImageLoader) -> None:
    """To the pixel where nothing is done together."""
    backend = build(folder, images, batch_size=1, boxes_at_once=1, **BY_TEXT)
    answers = check_backend(SEGMENT, backend, text_mentions())
    assert [answer.kind for answer in answers if isinstance(answer, Issue)] == ["truncated-image"]


@pytest.mark.parametrize(("batch_size", "boxes_at_once"), [(2, 32), (64, 2), (8, 32)])
def test_batches_do_not_change_answers(
    folder: Path, images: ImageLoader, batch_size: int, boxes_at_once: int
) -> None:
    """But for rounding, on a mask's edge."""
    one = build(folder, images, batch_size=1, boxes_at_once=1, **BY_TEXT)
    other = build(folder, images, batch_size=batch_size, boxes_at_once=boxes_at_once, **BY_TEXT)
    mentions = text_mentions()
    alone = [mask_or_issue(answer) for answer in one.segment(mentions)]
    assert_alike(alone, [mask_or_issue(answer) for answer in other.segment(mentions)])
    turned = other.segment(mentions[::-1])[::-1]
    assert_alike(alone, [mask_or_issue(answer) for answer in turned])


def mask_or_issue(answer: Any) -> Any:
    return answer if isinstance(answer, Issue) else masks(answer)


@pytest.mark.parametrize("fields", [{}, BY_TEXT], ids=["box", "text"])
def test_an_image_is_encoded_once(
    folder: Path, images: ImageLoader, fields: dict[str, Any]
) -> None:
    sam = build(folder, images, **fields)
    decoded: list[int] = []
    encoder = network_of(sam)._network.vision_encoder
    encoder.register_forward_pre_hook(lambda _, inputs: decoded.append(len(inputs[0])))
    mentions = [saying(box_mention("64x64.png", *boxes_in(64, 64)), text) for text in TEXTS]
    sam.segment([*mentions, box_mention("91x37.png")])
    assert decoded == [1]


def test_a_text_is_read_once(folder: Path, images: ImageLoader) -> None:
    sam = build(folder, images, **BY_TEXT)
    read: list[int] = []
    network_of(sam)._network.text_encoder.register_forward_pre_hook(lambda *_: read.append(1))
    sam.segment(text_mentions())
    assert len(read) == len(TEXTS)


def test_short_memory_halves_the_texts(folder: Path, images: ImageLoader) -> None:
    sam = build(folder, images, **BY_TEXT)
    expected = sam.segment(text_mentions()[:2])
    asked: list[int] = []

    def remember(_network: Any, _given: Any, named: Any) -> None:
        asked.append(len(named["vision_features"][0]))
        if asked[-1] > 1:
            raise torch.OutOfMemoryError("texts")

    detector = network_of(sam)._network.detr_encoder
    handle = detector.register_forward_pre_hook(remember, with_kwargs=True)
    mentions = [saying(box_mention("64x64.png", Box(0, 0, 60, 60)), text) for text in TEXTS]
    tight = sam.segment(mentions)
    handle.remove()
    assert asked == [2, 1, 1]
    assert_alike(
        [mask_or_issue(one) for one in tight], [mask_or_issue(one) for one in sam.segment(mentions)]
    )
    assert len(expected) == 2


def test_a_region_without_an_instance_keeps_its_box_and_says_so(
    folder: Path, images: ImageLoader
) -> None:
    sam = build(folder, images, **{**BY_TEXT, "overlap": 1.0})
    mention = saying(box_mention("91x37.png", Box(10.2, 5, 30, 20.7)), "dog")
    (answer,) = sam.segment([mention])
    assert isinstance(answer, PartialAnswer)
    (mask,) = answer.answer
    assert mask.source == "sam3:box"
    assert mask.to_numpy().sum() == 16 * 20
    assert [issue.kind for issue in answer.issues] == ["warning"]
    assert "'dog' lies on 1 of 1 regions" in answer.issues[0].message


def test_no_instance_is_good_enough(folder: Path, images: ImageLoader) -> None:
    sam = build(folder, images, **{**BY_TEXT, "threshold": 0.999})
    (answer,) = sam.segment([saying(box_mention("91x37.png", *boxes_in(91, 37)), "dog")])
    assert {mask.source for mask in masks(answer)} == {"sam3:box"}


def test_a_text_that_is_too_long_is_cut_at_a_word_and_said(
    folder: Path, images: ImageLoader
) -> None:
    sam = build(folder, images, **BY_TEXT)
    mention = box_mention("64x64.png", Box(0, 0, 64, 64))
    words = ["red"] * 29 + ["dog", "team"]
    (long,) = sam.segment([saying(mention, " ".join(words))])
    (fits,) = sam.segment([saying(mention, " ".join(words[:30]))])
    assert isinstance(long, PartialAnswer)
    assert masks(long) == masks(fits)
    assert "more than the 32 tokens" in long.issues[0].message
    assert long.issues[0].message.endswith("red dog'")


def test_bfloat16_concerns_the_backbone_alone(folder: Path, images: ImageLoader) -> None:
    half = build(folder, images, dtype="bfloat16", **BY_TEXT)
    network = network_of(half)._network
    assert next(network.vision_encoder.backbone.parameters()).dtype == torch.bfloat16
    assert next(network.vision_encoder.neck.parameters()).dtype == torch.float32
    mention = box_mention("91x37.png", *boxes_in(91, 37))
    for one, other in zip(
        masks(half.segment([mention])[0]),
        masks(build(folder, images, **BY_TEXT).segment([mention])[0]),
        strict=True,
    ):
        assert mask_iou(one, other) > 0.9


def test_prompts_that_share_a_text_are_asked_once(folder: Path, images: ImageLoader) -> None:
    network = network_of(build(folder, images, **BY_TEXT))
    (seen,) = network.encode_images([prepare_image(images, ImageRef("64x64.png"), network.prepare)])
    asked: list[int] = []
    network._network.detr_encoder.register_forward_pre_hook(
        lambda _, __, named: asked.append(len(named["vision_features"][0])), with_kwargs=True
    )
    box = Box(0, 0, 60, 60)
    prompts = [BoxPrompt(box, TEXTS[0]), BoxPrompt(box, TEXTS[1]), BoxPrompt(box, TEXTS[0])]
    assert len(list(network.decode_masks(seen, prompts))) == 3
    assert asked == [2]


def test_a_folder_that_says_nothing_is_prepared_as_the_published_model(
    folder: Path, images: ImageLoader, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "processor_config.json").unlink()
    by_box = network_of(build(tmp_path, images))
    assert by_box._preparation == Preparation(1008, 1008, mean=HALF, deviation=HALF)


def test_workers_can_prepare_images(folder: Path, images: ImageLoader) -> None:
    network = network_of(build(folder, images, **BY_TEXT))
    sent = pickle.loads(pickle.dumps(network.prepare))
    pixels = images.load(ImageRef("33x130.png"))
    assert torch.equal(sent(pixels), network.prepare(pixels))


def test_another_model_is_refused(folder: Path, images: ImageLoader, tmp_path: Path) -> None:
    config = Sam3Config(model=str(folder))
    assert (config.licence, config.gated) == ("SAM License", True)
    shutil.copy(folder / "config.json", tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "sam3_video"
    for prompt, kind in (("box", "Sam3TrackerModel"), ("text", "Sam3Model")):
        with pytest.raises(UserError, match=f"cannot be loaded as {kind}"):
            build(tmp_path, images, prompt=prompt)
