"""SAM 3 with random weights of the architecture's smallest size, saved as the published one is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIDE = 56
"""Pixels of the square that the tiny networks see."""
TEXT_LIMIT = 32
_PATCH = 14
_HIDDEN = 32
_WORDS = "the woman man in a red shirt left dog team"
QUERIES = 20


def save_sam3(folder: Path, *, seed: int = 3) -> Path:
    """A ``Sam3VideoModel``'s weights: detector and tracker in one file, and the processor's."""
    import json

    import torch
    import transformers
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    tracker = transformers.Sam3TrackerVideoConfig(**_tracker(), **_memory())
    config = transformers.Sam3VideoConfig(
        detector_config=transformers.Sam3Config(**_detector()).to_dict(),
        tracker_config=tracker.to_dict(),
        low_res_mask_side_length=SIDE // _PATCH * 4,
    )
    network = transformers.Sam3VideoModel(config)
    _widen(network)
    # By the names that the published file has: the library's own way of saving changes them.
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: weight.contiguous() for name, weight in network.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    processor = {
        "image_processor_type": "Sam3ImageProcessorFast",
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": {"height": SIDE, "width": SIDE},
    }
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": processor}))
    return folder


def _vision() -> dict[str, Any]:
    grid = SIDE // _PATCH
    return {
        "backbone_config": {
            "model_type": "sam3_vit_model",
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": _PATCH,
            "pretrain_image_size": 2 * _PATCH,
            "window_size": 2,
            "global_attn_indexes": [1],
        },
        "fpn_hidden_size": _HIDDEN,
        "backbone_feature_sizes": [[4 * grid] * 2, [2 * grid] * 2, [grid] * 2],
    }


def _detector() -> dict[str, Any]:
    part = {"hidden_size": _HIDDEN, "num_attention_heads": 2}
    layers = {**part, "num_layers": 1, "intermediate_size": 32, "dropout": 0.0}
    return {
        "vision_config": _vision(),
        "text_config": {
            "model_type": "clip_text_model",
            "vocab_size": len(_tokenizer()),
            "hidden_size": 16,
            "intermediate_size": 32,
            "projection_dim": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": TEXT_LIMIT,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
        },
        "geometry_encoder_config": layers,
        "detr_encoder_config": layers,
        "detr_decoder_config": {**layers, "num_queries": QUERIES},
        "mask_decoder_config": part,
    }


def _tracker() -> dict[str, Any]:
    return {
        "vision_config": {"model_type": "sam3_vision_model", **_vision()},
        "prompt_encoder_config": {
            "hidden_size": _HIDDEN,
            "image_size": SIDE,
            "patch_size": _PATCH,
            "mask_input_channels": 4,
        },
        "mask_decoder_config": {
            "hidden_size": _HIDDEN,
            "mlp_dim": 32,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
    }


def _memory() -> dict[str, Any]:
    """What the tracker has for films."""
    return {
        "image_size": SIDE,
        "memory_attention_hidden_size": _HIDDEN,
        "memory_attention_num_layers": 1,
        "memory_attention_num_attention_heads": 1,
        "memory_attention_feed_forward_hidden_size": 32,
        "memory_attention_rope_feat_sizes": [SIDE // _PATCH] * 2,
        "memory_encoder_hidden_size": _HIDDEN,
        "memory_encoder_output_channels": 16,
        "mask_downsampler_embed_dim": _HIDDEN,
        "memory_fuser_embed_dim": _HIDDEN,
        "memory_fuser_intermediate_dim": 32,
        "memory_fuser_num_layers": 1,
    }


def _widen(network: Any) -> None:
    """Makes answers differ from prompt to prompt: with usual weights all are alike."""
    import torch

    with torch.no_grad():
        for name, weights in network.named_parameters():
            if weights.ndim > 1 and "norm" not in name:
                weights.normal_(std=0.4 if "tracker_model.mask_decoder" in name else 0.25)


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<start>", "<end>", "<unk>"]
    words = [*special, *_WORDS.split(" ")]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("<end>", 2), ("<start>", 1))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<pad>",
        bos_token="<start>",
        eos_token="<end>",
        model_max_length=TEXT_LIMIT,
    )
