"""A LoRA adapter with random weights for a model in a folder, as peft writes one."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np


def make_tiny_adapter(
    folder: Path,
    model: Path,
    *,
    rank: int = 4,
    seed: int = 0,
    strength: float = 1.0,
    **settings: Any,
) -> Path:
    """Writes the adapter; the folder.

    Args:
        folder: Where to.
        model: The folder of the model that it is for; its ``config.json`` is read.
        rank: Of its weights.
        seed: Of its weights.
        strength: Of the change that it makes.
        settings: More keys of ``adapter_config.json``, or others in their place.
    """
    config = json.loads((model / "config.json").read_text())
    width, heads = config["hidden_size"], config["num_attention_heads"] * config["head_dim"]
    shapes = {"q_proj": (heads, width), "o_proj": (width, heads)}
    chance = np.random.default_rng(seed)
    tensors = {}
    for layer in range(config["num_hidden_layers"]):
        for name, (outer, inner) in shapes.items():
            module = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            for part, shape in (("A", (rank, inner)), ("B", (outer, rank))):
                values = strength * chance.standard_normal(shape)
                tensors[f"{module}.lora_{part}.weight"] = values.astype("<f4")
    told = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(model),
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": [*shapes],
        "bias": "none",
        **settings,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(told))
    (folder / "adapter_model.safetensors").write_bytes(_safetensors(tensors))
    return folder


def _safetensors(tensors: dict[str, np.ndarray[Any, Any]]) -> bytes:
    header, content = {}, b""
    for name, values in tensors.items():
        ends = [len(content), len(content) + values.nbytes]
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": ends}
        content += values.tobytes()
    told = json.dumps(header).encode()
    return struct.pack("<Q", len(told)) + told + content
