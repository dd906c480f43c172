"""Tiny MNER-QG: backbones of a few channels, and a checkpoint with random weights."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

from helpers.tiny_taggers import FINE, POSTS, save_encoder
from riveg.text.bio import bio_to_spans

if TYPE_CHECKING:
    from riveg.nn.mner_qg import MnerQg

SIDE = 64
QUERIES = {"PER": "names of people", "LOC": "towns and countries", "ORG": "firms, papers"}
ANCHORS = (
    ((0.1, 0.1), (0.2, 0.1), (0.2, 0.2)),
    ((0.3, 0.2), (0.3, 0.3), (0.4, 0.4)),
    ((0.5, 0.5), (0.7, 0.7), (0.9, 0.9)),
)
_COLOURS = {"PER": "red", "LOC": "green", "ORG": "blue"}
_CHANNELS = [8, 12, 16, 24]


def save_backbone(folder: Path, kind: str = "convnextv2") -> Path:
    """``resnet``, ``convnextv2`` or ``swin`` with three scales, ``dinov2`` with only one."""
    import torch
    import transformers

    torch.manual_seed(0)
    configs: dict[str, Any] = {
        "resnet": lambda: transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=_CHANNELS, depths=[1] * 4, layer_type="basic"
        ),
        "convnextv2": lambda: transformers.ConvNextV2Config(hidden_sizes=_CHANNELS, depths=[1] * 4),
        "swin": lambda: transformers.SwinConfig(
            embed_dim=8, depths=[1] * 4, num_heads=[1, 1, 2, 2], window_size=2, image_size=SIDE
        ),
        "dinov2": lambda: transformers.Dinov2Config(
            hidden_size=8, num_attention_heads=2, num_hidden_layers=3
        ),
    }
    folder.mkdir(parents=True, exist_ok=True)
    transformers.AutoModel.from_config(configs[kind]()).save_pretrained(folder)
    return folder


def widen(folder: Path) -> Path:
    """Makes the matrices of an encoder or a backbone ten times as large: what it makes of two words
    or pictures then differs enough to be told apart in a few steps."""
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    weights = {name: one * (10 if one.dim() > 1 else 1) for name, one in load_file(path).items()}
    save_file(weights, path, {"format": "pt"})
    return folder


def write_dataset(folder: Path, **more: Any) -> Path:
    """The posts as train and dev, each with a picture of its types in their colours; its YAML.

    What is said of a type is true of all its entities in a post: shown at one place, or not.
    """
    for name in ("xml", "images"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    chance = random.Random(0)
    blocks = []
    for number, (text, tags, _) in enumerate(POSTS):
        words = text.split()
        named = [
            (" ".join(words[span.start : span.end]), label)
            for span, label in bio_to_spans(tags.split())
        ]
        image = Image.new("RGB", (SIDE, SIDE), "white")
        boxes: dict[str, tuple[int, int, int, int]] = {}
        for place, label in enumerate(sorted({label for _, label in named})):
            if chance.random() < 0.7:
                left, top = chance.randint(0, 36), 21 * place
                boxes[label] = (left, top, left + chance.randint(14, 28), top + 20)
                edges = (*boxes[label][:2], boxes[label][2] - 1, boxes[label][3] - 1)
                ImageDraw.Draw(image).rectangle(edges, fill=_COLOURS[label])
        image.save(folder / "images" / f"{number}.png")
        objects = "".join(_object(name, boxes[label]) for name, label in named if label in boxes)
        if objects:
            (folder / "xml" / f"{number}.xml").write_text(f"<annotation>{objects}</annotation>")
        rows = [
            f"{word}\t{tag}\t{tag if tag == 'O' else tag[:2] + FINE[tag[2:]]}"
            for word, tag in zip(words, tags.split(), strict=True)
        ]
        blocks.append("\n".join([f"IMGID:{number}", *rows]) + "\n")
    for split in ("train", "dev"):
        (folder / f"{split}.txt").write_text("\n".join(blocks), encoding="utf-8")
    values = {
        "name": "tiny",
        "format": "twitter-fmnerg",
        "text": {split: f"{split}.txt" for split in ("train", "dev")},
        "xml": "xml",
        "images": ["images"],
        "suffixes": [".png"],
        **more,
    }
    path = folder / "tiny.yaml"
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def _object(name: str, box: tuple[int, int, int, int]) -> str:
    edges = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    inside = "".join(f"<{key}>{edge}</{key}>" for key, edge in edges)
    return f"<object><name>{name}</name><bndbox>{inside}</bndbox></object>"


def make_network(folder: Path, kind: str = "bert", backbone: str = "resnet", **more: Any) -> MnerQg:
    """A network of random weights, in evaluation mode; its parts are saved below ``folder``."""
    import torch

    from riveg.nn.backbones import load_backbone, scale_grids
    from riveg.nn.encoders import load_encoder
    from riveg.nn.mner_qg import MnerQg
    from riveg.nn.mner_qg_design import MnerQgDesign

    encoder = load_encoder(save_encoder(folder / "encoder", kind))
    seen = load_backbone(save_backbone(folder / "seen", backbone))
    values = {
        "width": 16,
        "attention_heads": 2,
        "image_side": SIDE,
        "grids": scale_grids(seen, SIDE, folder),
        "anchors": ANCHORS,
        **more,
    }
    torch.manual_seed(1)
    return MnerQg(encoder, seen, MnerQgDesign.model_validate(values)).eval()


def save_mner_qg(folder: Path, kind: str = "bert", backbone: str = "resnet", **more: Any) -> Path:
    """The folder of a trained one, whose random weights find something in most posts."""
    import torch

    from riveg.nn.encoders import load_fast_tokenizer
    from riveg.nn.mner_qg_design import MnerQgSettings, write_settings
    from riveg.nn.mner_qg_folder import write_network

    network = make_network(folder / "parts", kind, backbone, **more)
    with torch.no_grad():
        network.spans.edges.weight.normal_()
        network.spans.edges.bias.fill_(2.5)
        network.spans.match.weight.normal_(0, 3)
        network.spans.match.bias.fill_(3.0)
        if network.grounding is not None:
            network.grounding.no_region.bias.fill_(5.0)
    folder.mkdir(parents=True, exist_ok=True)
    write_network(folder, network, load_fast_tokenizer(folder / "parts" / "encoder"))
    settings = MnerQgSettings(
        design=network.design,
        queries=QUERIES,
        max_pieces=60,
        mean=(0.5, 0.5, 0.5),
        deviation=(0.25, 0.25, 0.25),
        span_temperature=2.0,
        threshold=0.4,
    )
    write_settings(folder, settings)
    return folder
