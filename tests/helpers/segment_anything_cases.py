"""What the backend on the package ``segment_anything`` must do; run where torchvision is.

``python -m helpers.segment_anything_cases FOLDER``; the folder is for images and checkpoints.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor
from segment_anything.build_sam import _build_sam, sam_model_registry
from segment_anything.modeling import Sam

from helpers.answers import whole
from helpers.box_mentions import (
    SIZES,
    assert_alike,
    box_mention,
    boxes_in,
    mixed_mentions,
    save_images,
)
from helpers.contracts import check_backend
from riveg.config.backend import BuildContext
from riveg.errors import UserError
from riveg.geometry.masks import mask_iou
from riveg.images.loader import ImageLoader
from riveg.protocols import Segmenter
from riveg.stages.segmenters.segment_anything import SegmentAnythingConfig
from riveg.stages.table import SEGMENT
from riveg.types import ImageRef, Issue
from riveg.vision.segmenters.prompted import PromptedSegmenter
from riveg.vision.segmenters.segment_anything import SegmentAnythingNetwork, empty_network

SIDE = 64


def tiny_sam() -> Sam:
    """The package's network with two narrow layers; its decoder as published."""
    from functools import partial

    from segment_anything.modeling import (
        ImageEncoderViT,
        MaskDecoder,
        PromptEncoder,
        TwoWayTransformer,
    )

    torch.manual_seed(0)
    encoder = ImageEncoderViT(
        img_size=SIDE,
        embed_dim=16,
        depth=2,
        num_heads=2,
        out_chans=32,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=2,
        global_attn_indexes=(1,),
    )
    prompts = PromptEncoder(32, (SIDE // 16, SIDE // 16), (SIDE, SIDE), 16)
    decoder = MaskDecoder(
        transformer_dim=32,
        transformer=TwoWayTransformer(depth=2, embedding_dim=32, num_heads=8, mlp_dim=2048),
    )
    network = Sam(encoder, prompts, decoder).eval()
    with torch.no_grad():
        for weights in decoder.parameters():
            if weights.ndim > 1:
                weights.normal_(std=0.4)
    return network


def build(path: Path, images: ImageLoader, **fields: Any) -> Segmenter:
    config = SegmentAnythingConfig(model=str(path), device="cpu", **fields)
    return config.build(BuildContext(images))


def check_equal_to_the_predictor(path: Path, images: ImageLoader) -> None:
    network = tiny_sam()
    predictor = SamPredictor(network)
    own = build(path, images, boxes_at_once=1)
    without_pixel = 0
    named = [(f"{width}x{height}.png", (width, height)) for width, height in SIZES]
    for name, sides in [*named, ("turned.jpg", (80, 50))]:
        boxes = boxes_in(*sides)
        predictor.set_image(images.load(ImageRef(name)))
        (found,) = own.segment([box_mention(name, *boxes)])
        for mask, box in zip(whole(found), boxes, strict=True):
            edges = np.array([box.x_min, box.y_min, box.x_max, box.y_max])
            wanted, _, _ = predictor.predict(box=edges, multimask_output=False)
            if mask.source == "segment-anything":
                assert (mask.to_numpy() == wanted[0]).all(), (name, box)
            else:
                without_pixel += 1
                assert not wanted.any()
    assert without_pixel < len(SIZES), "most masks show something"


def check_batches(path: Path, images: ImageLoader) -> None:
    single = build(path, images, batch_size=1, boxes_at_once=1)
    answers = check_backend(SEGMENT, single, mixed_mentions())
    faults = [answer.kind for answer in answers if isinstance(answer, Issue)]
    assert faults == ["truncated-image"]
    for sizes in ((2, 32), (64, 2), (8, 32)):
        other = build(path, images, batch_size=sizes[0], boxes_at_once=sizes[1])
        assert_alike(other.segment(mixed_mentions()), answers)
    first, second, third = whole(answers[0])
    assert mask_iou(first, second) < 0.98
    assert mask_iou(second, third) < 0.98


def check_short_memory(path: Path, images: ImageLoader) -> None:
    network, decoded = tiny_sam(), []

    def remember(_encoder: Any, inputs: Any) -> None:
        decoded.append(len(inputs[0]))
        if len(inputs[0]) > 2:
            raise torch.OutOfMemoryError("pictures")

    network.image_encoder.register_forward_pre_hook(remember)
    mentions = mixed_mentions()[:4]
    own = SegmentAnythingNetwork(network)
    tight = PromptedSegmenter(images, own, source="segment-anything", batch_size=4)
    assert_alike(tight.segment(mentions), build(path, images).segment(mentions))
    assert decoded == [4, 2, 2]


def check_bfloat16(path: Path, images: ImageLoader) -> None:
    mention = box_mention("91x37.png", *boxes_in(91, 37))
    (exact,), (half,) = (
        build(path, images, dtype=dtype).segment([mention]) for dtype in ("float32", "bfloat16")
    )
    assert all(
        mask_iou(one, other) > 0.9 for one, other in zip(whole(exact), whole(half), strict=True)
    )


def check_published_sizes(folder: Path) -> None:
    """The network made from the weights' shapes is the one that the package makes by name."""
    sizes = {
        "vit_b": (768, 12, 12, [2, 5, 8, 11]),
        "vit_l": (1024, 24, 16, [5, 11, 17, 23]),
        "vit_h": (1280, 32, 16, [7, 15, 23, 31]),
    }
    for name, wanted in sizes.items():
        assert name in sam_model_registry
        with torch.device("meta"):
            network = _build_sam(*wanted)
            made = empty_network(network.state_dict())
        assert str(made) == str(network), name
        assert made.image_encoder.img_size == network.image_encoder.img_size == 1024
        for one, other in zip(made.image_encoder.blocks, network.image_encoder.blocks, strict=True):
            assert one.window_size == other.window_size, name
            assert one.attn.num_heads == other.attn.num_heads, name
        assert (made.pixel_mean.shape, made.mask_threshold) == (
            network.pixel_mean.shape,
            network.mask_threshold,
        )


class Code:
    """What a checkpoint must not bring."""


def check_refusals(folder: Path, images: ImageLoader) -> None:
    weights = tiny_sam().state_dict()
    del weights["mask_decoder.iou_token.weight"]
    for number, content in enumerate(({"a": torch.zeros(1)}, weights, [1, 2], Code())):
        torch.save(content, folder / f"{number}.pth")
    (folder / "4.pth").write_bytes(b"no checkpoint")
    (folder / "5.pth").write_bytes(b"")
    for number in range(6):
        with pytest.raises(UserError, match="is no checkpoint"):
            build(folder / f"{number}.pth", images)


def check_all(folder: Path) -> None:
    images = save_images(folder)
    path = folder / "tiny.pth"
    torch.save(tiny_sam().state_dict(), path)
    check_equal_to_the_predictor(path, images)
    check_batches(path, images)
    check_short_memory(path, images)
    check_bfloat16(path, images)
    check_published_sizes(folder)
    check_refusals(folder, images)


if __name__ == "__main__":
    check_all(Path(sys.argv[1]))
