"""Segment Anything, 1 and 2, with random weights of the architecture's smallest size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIDE = 64
"""Pixels of the square that the tiny networks see."""


def save_sam(folder: Path, *, seed: int = 0) -> Path:
    """A ``SamModel`` with one window and one global layer, and its processor."""
    import torch
    from transformers import SamConfig, SamImageProcessorPil, SamModel

    torch.manual_seed(seed)
    config = SamConfig(
        vision_config={
            "hidden_size": 16,
            "output_channels": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 16,
            "window_size": 2,
            "global_attn_indexes": [1],
            "num_pos_feats": 8,
            "mlp_dim": 16,
            "initializer_range": 0.3,
        },
        prompt_encoder_config={
            "hidden_size": 16,
            "image_size": SIDE,
            "patch_size": 16,
            "mask_input_channels": 4,
        },
        mask_decoder_config={
            "hidden_size": 16,
            "mlp_dim": 16,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
        initializer_range=0.3,
    )
    _sensitive(SamModel(config)).save_pretrained(folder)
    SamImageProcessorPil(
        size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE}
    ).save_pretrained(folder)
    return folder


def save_sam2(folder: Path, *, seed: int = 5) -> Path:
    """A ``Sam2Model`` with four stages of one or two layers, and its processor's file."""
    import json

    import torch
    from transformers import Sam2Config, Sam2Model

    torch.manual_seed(seed)
    channels = [8, 16, 32, 64]
    config = Sam2Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": 8,
                "image_size": [SIDE, SIDE],
                "blocks_per_stage": [1, 1, 2, 1],
                "embed_dim_per_stage": channels,
                "num_attention_heads_per_stage": [1, 1, 2, 2],
                "window_size_per_stage": [8, 4, 4, 4],
                "global_attention_blocks": [3],
                "initializer_range": 0.3,
            },
            "backbone_channel_list": channels[::-1],
            "backbone_feature_sizes": [[SIDE // 4] * 2, [SIDE // 8] * 2, [SIDE // 16] * 2],
            "fpn_hidden_size": 16,
            "initializer_range": 0.3,
        },
        prompt_encoder_config={
            "hidden_size": 16,
            "image_size": SIDE,
            "patch_size": 16,
            "mask_input_channels": 4,
        },
        mask_decoder_config={
            "hidden_size": 16,
            "mlp_dim": 16,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
        initializer_range=0.3,
    )
    _sensitive(Sam2Model(config)).save_pretrained(folder)
    processor = {
        "image_processor_type": "Sam2ImageProcessorFast",
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": {"height": SIDE, "width": SIDE},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def _sensitive(network: Any) -> Any:
    """The same with a decoder that another box moves: with usual weights all masks are alike."""
    import torch

    with torch.no_grad():
        for weights in network.mask_decoder.parameters():
            if weights.ndim > 1:
                weights.normal_(std=0.6)
    return network
