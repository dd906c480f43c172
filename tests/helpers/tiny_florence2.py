"""Florence-2 of a few thousand random weights, saved as a checkpoint with its processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIDE = 32
"""Pixels of the square that the tiny network sees."""
IMAGE_TOKENS = 5
"""One for each of four places, and one for the whole image."""
TEXT_LIMIT = 64
_BINS = 1000
_WIDTH = 32
_WORDS = "locate the phrases in caption : image . woman man a red shirt left dog team"


def save_florence2(folder: Path, *, seed: int = 0) -> Path:
    """A ``Florence2ForConditionalGeneration`` that writes many places, and its processor."""
    import torch
    import transformers

    tokenizer = _tokenizer()
    torch.manual_seed(seed)
    config = transformers.Florence2Config(
        vision_config={
            "depths": [1, 1],
            "patch_size": [7, 3],
            "patch_stride": [4, 4],
            "patch_padding": [3, 1],
            "patch_prenorm": [False, True],
            "embed_dim": [8, 16],
            "num_heads": [2, 2],
            "num_groups": [2, 2],
            "window_size": 4,
            "drop_path_rate": 0.0,
            "projection_dim": _WIDTH,
            "max_temporal_embeddings": 4,
            "max_position_embeddings": 8,
        },
        text_config={
            "model_type": "bart",
            "vocab_size": len(tokenizer),
            "d_model": _WIDTH,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 32,
            "decoder_ffn_dim": 32,
            "max_position_embeddings": TEXT_LIMIT,
            "dropout": 0.0,
            "bos_token_id": 0,
            "pad_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 2,
            "forced_bos_token_id": None,
            "forced_eos_token_id": None,
        },
        image_token_id=tokenizer.image_token_id,
    )
    network = transformers.Florence2ForConditionalGeneration(config)
    _bias_to_places(network, tokenizer)
    # As the published ones have it, but with a word in front: an answer begins with its phrase.
    network.generation_config.forced_bos_token_id = tokenizer.convert_tokens_to_ids("\u2581team")
    network.generation_config.no_repeat_ngram_size = 1
    network.generation_config.num_beams = 3
    network.generation_config.early_stopping = True
    network.save_pretrained(folder)
    _processor(tokenizer).save_pretrained(folder)
    return folder


def _bias_to_places(network: Any, tokenizer: Any) -> None:
    """Has the network write places most of the time, and a word now and then.

    The head is as the embeddings, and those of places are long.
    """
    import torch

    with torch.no_grad():
        for name, weights in network.named_parameters():
            if weights.ndim > 1 and "norm" not in name:
                weights.normal_(std=0.3)
        head = network.lm_head.weight
        first = tokenizer.convert_tokens_to_ids("<loc_0>")
        head[first : first + _BINS] *= 1.5
        head[[0, 1, tokenizer.image_token_id]] *= 0.1


def _processor(tokenizer: Any) -> Any:
    import transformers

    images = transformers.CLIPImageProcessorPil(
        size={"height": SIDE, "width": SIDE},
        do_center_crop=False,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    images.image_seq_length = IMAGE_TOKENS
    return transformers.Florence2Processor(
        images,
        tokenizer,
        post_processor_config={
            task: {}
            for task in ("phrase_grounding", "description_with_bboxes_or_polygons", "pure_text")
        },
    )


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    written = (f"\u2581{word}" for word in dict.fromkeys(_WORDS.split(" ")))
    words = ["<s>", "<pad>", "</s>", "<unk>", *written]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
        model_max_length=TEXT_LIMIT,
    )
    fast.add_tokens([f"<loc_{number}>" for number in range(_BINS)])
    return fast
