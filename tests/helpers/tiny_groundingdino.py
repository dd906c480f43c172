"""A GroundingDINO of the package ``groundingdino``: small but for its backbone, random weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.tiny_grounding_dino import save_tokenizer

SIZES = {"enc_layers": 2, "dec_layers": 2, "dim_feedforward": 64, "num_queries": 30}
"""Instead of the published ones; the package has no smaller backbone, and no width but 256."""

TEXT = {
    "vocab_size": 1100,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 64,
}


@dataclass(frozen=True)
class TinyFiles:
    """What makes a network: its weights, its sizes, its text encoder."""

    checkpoint: Path
    configuration: Path
    text_encoder: Path


def save_groundingdino(folder: Path) -> TinyFiles:
    """Saves one. Weights are in bfloat16, which halves the file."""
    import torch
    import transformers

    from riveg.vision.detectors.groundingdino_configuration import (
        configuration_file,
        read_configuration,
    )

    files = TinyFiles(folder / "tiny.pth", folder / "tiny.py", folder / "bert")
    files.text_encoder.mkdir(parents=True)
    save_tokenizer(files.text_encoder)
    torch.manual_seed(7)
    transformers.BertModel(transformers.BertConfig(**TEXT)).save_pretrained(files.text_encoder)
    sizes = read_configuration(configuration_file("swin-t", folder)) | SIZES
    sizes["text_encoder_type"] = str(files.text_encoder)
    lines = [f"{name} = {value!r}\n" for name, value in sizes.items()]
    files.configuration.write_text("".join(lines))
    network = empty_network(files)
    # What training starts at zero or next to it would make every box and score the same.
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "sampling_offsets" not in name and "norm" not in name and "backbone" not in name:
                weight.add_(torch.randn_like(weight) * 0.08)
        # Untrained, the queries' products with the words are so large that most scores are 0 or 1.
        network.transformer.decoder.norm.weight.mul_(0.1)
    weights = {
        f"module.{name}": weight.bfloat16() if weight.is_floating_point() else weight
        for name, weight in network.state_dict().items()
    }
    torch.save({"model": weights}, files.checkpoint)
    return files


def empty_network(files: TinyFiles) -> Any:
    """The package's own network, made by it of its own kind of configuration.

    But for the wrapper of the text encoder, which does not work with transformers 5.
    """
    from groundingdino.models import build_model
    from groundingdino.models.GroundingDINO import groundingdino
    from groundingdino.util.slconfig import SLConfig

    from riveg.vision.detectors.groundingdino_package import TextEncoder

    groundingdino.BertModelWarper = TextEncoder
    return build_model(SLConfig.fromfile(str(files.configuration))).eval()
