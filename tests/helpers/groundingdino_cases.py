"""What the backend on the package ``groundingdino`` must do; run where torchvision is.

``python -m helpers.groundingdino_cases FOLDER``; the folder is for images and checkpoints.
"""

from __future__ import annotations

import re
import sys
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import groundingdino.datasets.transforms as transforms
import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers
from groundingdino.util import inference

from helpers.contracts import check_backend
from helpers.factories import mentions_of
from helpers.odd_images import (
    SIDES,
    image_context,
    open_upright,
    samples_about,
    save_odd_images,
)
from helpers.tiny_groundingdino import SIZES, TEXT, TinyFiles, empty_network, save_groundingdino
from riveg.errors import UserError
from riveg.protocols import Mention, PartialAnswer
from riveg.stages.grounders.groundingdino import GroundingDinoPackageConfig
from riveg.stages.table import GROUND
from riveg.types import Region
from riveg.vision.detectors.grounding_dino_prompts import PhrasePrompt, join_phrases, read_phrase
from riveg.vision.detectors.groundingdino_package import GroundingDinoPackageNetwork
from riveg.vision.runtime.options import TorchOptions

EDGES = (64, 128)
LONG = ("one-column.png", "three-rows.png", "wide.png")
"""Images of fewer places than the network has queries; the package itself refuses them."""
TEXTS = ("bob", "a red man with dog", "ann lee", "oslo city", "dog", "stage")


@cache
def loaded(files: TinyFiles, dtype: str = "float32") -> GroundingDinoPackageNetwork:
    options = TorchOptions(model="-", device="cpu", dtype=dtype)
    return GroundingDinoPackageNetwork(
        files.checkpoint, files.configuration, files.text_encoder, options
    )


@cache
def plain(files: TinyFiles) -> Any:
    """The network as the package loads it."""
    network = empty_network(files)
    weights = torch.load(files.checkpoint, weights_only=True)["model"]
    network.load_state_dict(inference.clean_state_dict(weights), strict=True)
    return network


def build(files: TinyFiles, images: Path, **fields: Any) -> Any:
    usual = {
        "model": str(files.checkpoint),
        "architecture": str(files.configuration),
        "text_encoder": str(files.text_encoder),
        "device": "cpu",
        "box_threshold": 0.0,
        "shortest_edge": EDGES[0],
        "longest_edge": EDGES[1],
    }
    config = GroundingDinoPackageConfig(**{**usual, **fields})
    return config.build(image_context(images, images))


def mentions(*names: str) -> list[Mention]:
    return [mention for sample in samples_about(*names) for mention in mentions_of(sample)]


def prompt(files: TinyFiles, text: str) -> PhrasePrompt:
    tokenizer = loaded(files).tokenizer
    phrase = read_phrase(text, tokenizer)
    assert phrase is not None
    return join_phrases([phrase], tokenizer)


def as_the_package_does(shortest: int, longest: int) -> Any:
    steps = [
        transforms.RandomResize([shortest], max_size=longest),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
    return transforms.Compose(steps)


def corners(boxes: torch.Tensor) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = transformers.image_transforms.center_to_corners_format(
        boxes.numpy()
    )
    return found


def check_equal_to_predict(files: TinyFiles, images: Path) -> None:
    """Regions, phrase by phrase, to what they are rounded to."""
    network = plain(files)
    asking = build(files, images, regions="many", top_k=100, overlap=1.0)
    names = [name for name in SIDES if name not in LONG]
    for mention, answer in zip(mentions(*names), asking.ground(mentions(*names)), strict=True):
        assert mention.sample.image is not None
        image = open_upright(images, mention.sample.image.path)
        values, _ = as_the_package_does(*EDGES)(image, None)
        text = mention.entity.expression or mention.entity.text
        boxes, scores, _ = inference.predict(network, values, text, 0.0, 0.0, "cpu")
        order = torch.argsort(-scores, stable=True)
        right = np.clip(corners(boxes), 0, 1) * np.array([image.width, image.height] * 2)
        assert len(answer) == len(order) == SIZES["num_queries"]
        for region, row in zip(answer, order, strict=True):
            assert isinstance(region, Region)
            edges = (region.box.x_min, region.box.y_min, region.box.x_max, region.box.y_max)
            np.testing.assert_allclose(edges, right[row], atol=0.051)
            assert abs((region.score or 0) - float(scores[row])) < 6e-5
            assert region.source == "groundingdino"


def check_full_size(files: TinyFiles, images: Path) -> None:
    """The very numbers of ``load_image`` and ``predict``."""
    source, values = inference.load_image(str(images / "wide.png"))
    network = loaded(files)
    pixels = network.prepare(source, 800, 1333)
    assert torch.equal(pixels, values)
    (features,) = network.encode_images([pixels])
    for text in TEXTS[:2]:
        boxes, scores, _ = inference.predict(plain(files), values, text, 0.0, 0.0, "cpu")
        (found,) = network.detect([features], [prompt(files, text)])
        np.testing.assert_allclose(found.scores, scores, atol=1e-6)
        np.testing.assert_allclose(found.boxes, corners(boxes), atol=1e-6)


def check_batches(files: TinyFiles, images: Path) -> None:
    single = build(files, images, batch_size=1)
    answers = check_backend(GROUND, single, mentions(*SIDES))
    assert all(isinstance(answer, tuple) and answer for answer in answers)
    for size in (3, 32):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            other = build(files, images, batch_size=size).ground(mentions(*SIDES))
        assert list(other) == answers


def check_prompts_of_a_batch(files: TinyFiles, image_folder: Path) -> None:
    """Whatever shares a forward: in the package itself, one prompt would get another's mask."""
    network = loaded(files)
    images = [np.array(open_upright(image_folder, name)) for name in SIDES]
    pixels = [network.prepare(image, *EDGES) for image in [*images, images[0], images[0]]]
    features = [network.encode_images([one])[0] for one in pixels]
    prompts = [prompt(files, text) for text in (*TEXTS, "man with hat", "a")]
    for one, asked, among in zip(features, prompts, network.detect(features, prompts), strict=True):
        (alone,) = network.detect([one], [asked])
        np.testing.assert_allclose(alone.boxes, among.boxes, atol=5e-6)
        np.testing.assert_allclose(alone.scores, among.scores, atol=1e-5)


def check_each_image_is_encoded_once(files: TinyFiles, images: Path) -> None:
    network, seen = loaded(files), []
    hook = network._encoder.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    asked = mentions("odd.png", "odd.png", "square.png")
    asking = build(files, images)
    asking._finder._network = network
    asking.ground(asked)
    hook.remove()
    assert sorted(seen) == [1, 1]


def check_short_memory(files: TinyFiles, images: Path) -> None:
    """Halves images and prompts, and gives the same answers."""
    right = build(files, images, batch_size=8).ground(mentions(*SIDES))
    network, seen, asked = loaded(files), [], []

    def look(_: Any, given: Any) -> None:
        seen.append(len(given[0]))
        if seen[-1] > 1:
            raise torch.OutOfMemoryError("pictures")

    def ask(_: Any, given: Any) -> None:
        asked.append(len(given[0].tensors))
        if asked[-1] > 1:
            raise torch.OutOfMemoryError("prompts")

    hooks = [
        network._encoder.register_forward_pre_hook(look),
        network._network.register_forward_pre_hook(ask),
    ]
    asking = build(files, images, batch_size=8)
    asking._finder._network = network
    # Two images of one size, so that there is something to halve.
    (images / "again.png").write_bytes((images / "odd.png").read_bytes())
    assert asking.ground(mentions(*SIDES)) == right
    asking.ground(mentions("odd.png", "again.png"))
    for hook in hooks:
        hook.remove()
    assert max(seen) > 1
    assert max(asked) > 1
    assert network._given.maps == []


def check_long_phrases(files: TinyFiles, images: Path) -> None:
    """Cut at a word, and said beside the answer."""
    (mention,) = mentions("odd.png")[:1]
    most = loaded(files).most_tokens
    short, long = ("red dog " * count for count in ((most - 3) // 2, most))
    fits, cut = (
        build(files, images).ground(
            [replace(mention, entity=replace(mention.entity, expression=text))]
        )[0]
        for text in (short, long)
    )
    assert isinstance(cut, PartialAnswer)
    assert cut.issues[0].kind == "warning"
    assert f"more than the {most} tokens" in cut.issues[0].message
    if (most - 3) % 2 == 0:
        assert cut.answer == fits


def check_transformers(files: TinyFiles, images: Path) -> None:
    """The same weights in transformers give the same boxes."""
    config = transformers.GroundingDinoConfig(
        backbone_config=transformers.SwinConfig(
            embed_dim=96,
            depths=[2, 2, 6, 2],
            num_heads=[3, 6, 12, 24],
            window_size=7,
            out_features=["stage2", "stage3", "stage4"],
        ),
        text_config=transformers.BertConfig(**TEXT),
        encoder_layers=SIZES["enc_layers"],
        decoder_layers=SIZES["dec_layers"],
        encoder_ffn_dim=SIZES["dim_feedforward"],
        decoder_ffn_dim=SIZES["dim_feedforward"],
        num_queries=SIZES["num_queries"],
    )
    port = transformers.GroundingDinoForObjectDetection(config).eval()
    weights = converted(plain(files).state_dict())
    missing, more = port.load_state_dict(weights, strict=False)
    # Of the backbone's last layer, which neither of them uses.
    assert {name for name in missing if ".swin.layernorm." not in name} == set()
    assert more == []
    network = loaded(files)
    pixels = network.prepare(np.array(open_upright(images, "odd.png")), *EDGES)
    (features,) = network.encode_images([pixels])
    for text in TEXTS:
        words = network.tokenizer(f"{text}.", return_tensors="pt")
        with torch.inference_mode():
            answer = port(pixel_values=pixels[None], **words)
        (found,) = network.detect([features], [prompt(files, text)])
        scores = answer.logits[0].sigmoid().amax(-1)
        boxes = corners(answer.pred_boxes[0])
        np.testing.assert_allclose(found.scores, scores, atol=2e-5)
        np.testing.assert_allclose(found.boxes, boxes, atol=2e-5)


RENAMED = (
    (r"^transformer\.", "model."),
    (r"^bert\.", "model.text_backbone."),
    (r"^feat_map\.", "model.text_projection."),
    (r"^input_proj\.", "model.input_proj_vision."),
    (r"^model\.tgt_embed\.", "model.query_position_embeddings."),
    (r"^model\.enc_out_bbox_embed\.", "model.encoder_output_bbox_embed."),
    (r"\.encoder\.layers\.(\d+)\.", r".encoder.layers.\1.deformable_layer."),
    (r"\.encoder\.text_layers\.(\d+)\.", r".encoder.layers.\1.text_enhancer_layer."),
    (r"\.encoder\.fusion_layers\.(\d+)\.", r".encoder.layers.\1.fusion_layer."),
    (r"(deformable_layer)\.norm1\.", r"\1.self_attn_layer_norm."),
    (r"(deformable_layer)\.norm2\.", r"\1.final_layer_norm."),
    (r"(text_enhancer_layer)\.norm1\.", r"\1.layer_norm_before."),
    (r"(text_enhancer_layer)\.norm2\.", r"\1.layer_norm_after."),
    (r"(model\.(?:en|de)coder.*)\.linear(\d)\.", r"\1.fc\2."),
    (r"fusion_layer\.gamma_v", "fusion_layer.vision_param"),
    (r"fusion_layer\.gamma_l", "fusion_layer.text_param"),
    (r"fusion_layer\.layer_norm_v\.", "fusion_layer.layer_norm_vision."),
    (r"fusion_layer\.layer_norm_l\.", "fusion_layer.layer_norm_text."),
    (r"fusion_layer\.attn\.(values_|out_)?v_proj", r"fusion_layer.attn.\1vision_proj"),
    (r"fusion_layer\.attn\.(values_|out_)?l_proj", r"fusion_layer.attn.\1text_proj"),
    (r"\.decoder\.norm\.", ".decoder.layer_norm."),
    (r"\.decoder\.ref_point_head\.", ".decoder.reference_points_head."),
    (r"(\.decoder\.layers\.\d+)\.cross_attn\.", r"\1.encoder_attn."),
    (r"(\.decoder\.layers\.\d+)\.norm1\.", r"\1.encoder_attn_layer_norm."),
    (r"(\.decoder\.layers\.\d+)\.ca_text\.", r"\1.encoder_attn_text."),
    (r"(\.decoder\.layers\.\d+)\.catext_norm\.", r"\1.encoder_attn_text_layer_norm."),
    (r"(\.decoder\.layers\.\d+)\.norm2\.", r"\1.self_attn_layer_norm."),
    (r"(\.decoder\.layers\.\d+)\.norm3\.", r"\1.final_layer_norm."),
    (r"^backbone\.0\.norm(\d)\.", lambda found: f"{SEEN}.hidden_states_norms.stage{_next(found)}."),
    (r"^backbone\.0\.patch_embed\.proj\.", "backbone.0.embeddings.patch_embeddings.projection."),
    (r"^backbone\.0\.patch_embed\.norm\.", "backbone.0.embeddings.norm."),
    (r"^backbone\.0\.layers\.", "backbone.0.encoder.layers."),
    (r"(blocks\.\d+)\.norm1\.", r"\1.layernorm_before."),
    (r"(blocks\.\d+)\.norm2\.", r"\1.layernorm_after."),
    (r"\.attn\.(relative_position_bias_table)", r".attention.relative_position_bias.\1"),
    (r"(blocks\.\d+)\.attn\.proj\.", r"\1.attention.o_proj."),
    (r"(blocks\.\d+)\.attn\.qkv\.", r"\1.attention.in_proj_"),
    (r"^backbone\.0\.", "model.backbone.conv_encoder.model.swin."),
)
"""Names in the package -> names in transformers, one rule after the other."""
SEEN = "model.backbone.conv_encoder.model"


def _next(found: re.Match[str]) -> int:
    return int(found[1]) + 1


def converted(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found = {}
    for name, weight in weights.items():
        if "relative_position_index" in name or "pooler" in name:
            continue
        place, is_three, kind = renamed(name).partition("in_proj_")
        if not is_three:
            found[place] = weight
            continue
        # The package has one matrix where transformers has three.
        parts = ("q_proj", "k_proj", "v_proj") if "swin" in place else ("query", "key", "value")
        for part, piece in zip(parts, weight.chunk(3), strict=True):
            found[f"{place}{part}.{kind}"] = piece
    return found


def renamed(name: str) -> str:
    for old, new in RENAMED:
        name = re.sub(old, new, name)
    return name


def check_bfloat16(files: TinyFiles, images: Path) -> None:
    image = np.array(open_upright(images, "odd.png"))
    boxes = []
    for dtype in ("float32", "bfloat16"):
        network = loaded(files, dtype)
        features = network.encode_images([network.prepare(image, *EDGES)])
        boxes.append(network.detect(features, [prompt(files, "bob")])[0].boxes)
    assert np.median(np.abs(boxes[0] - boxes[1])) < 0.03


class Code:
    """What a checkpoint must not bring."""


def check_refusals(files: TinyFiles, images: Path) -> None:
    weights = torch.load(files.checkpoint, weights_only=True)["model"]
    first = next(iter(weights))
    lacking = {name: weight for name, weight in weights.items() if name != first}
    more = {**weights, "another.weight": torch.zeros(1)}
    for content, why in (
        ({"model": lacking}, "it lacks transformer.level_embed, 1 such"),
        ({"model": more}, r"it has another\.weight"),
        ({"model": {first: torch.zeros(1)}}, "size mismatch"),
        ([1, 2], "is no checkpoint"),
        (Code(), "is no checkpoint"),
    ):
        torch.save(content, images / "wrong.pth")
        with pytest.raises(UserError, match=why):
            build(files, images, model="wrong.pth")
    (images / "wrong.pth").write_bytes(b"")
    with pytest.raises(UserError, match="is no checkpoint"):
        build(files, images, model="wrong.pth")
    text = files.configuration.read_text()
    for changed, why in (
        (text.replace("swin_T_224_1k", "vit"), "Unknown backbone vit"),
        (text.replace("nheads", "heads"), "nheads"),
    ):
        (images / "wrong.py").write_text(changed)
        with pytest.raises(UserError, match=why):
            build(files, images, architecture="wrong.py")


def check_all(folder: Path) -> None:
    files = save_groundingdino(folder)
    images = save_odd_images(folder / "pictures")
    check_equal_to_predict(files, images)
    check_full_size(files, images)
    check_batches(files, images)
    check_prompts_of_a_batch(files, images)
    check_each_image_is_encoded_once(files, images)
    check_short_memory(files, images)
    check_long_phrases(files, images)
    check_transformers(files, images)
    check_bfloat16(files, images)
    check_refusals(files, images)


if __name__ == "__main__":
    check_all(Path(sys.argv[1]))
