"""Published architectures at their full size with random weights: as costly as the real ones.

What a network costs depends on its sizes alone, so that time and memory can be measured without a
download. Nothing that these networks answer means anything.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WORDS = 30522
"""Of BERT's vocabulary."""

_SWIN = {
    "tiny": {
        "embed_dim": 96,
        "depths": [2, 2, 6, 2],
        "num_heads": [3, 6, 12, 24],
        "window_size": 7,
        "image_size": 224,
    },
    "base": {
        "embed_dim": 128,
        "depths": [2, 2, 18, 2],
        "num_heads": [4, 8, 16, 32],
        "window_size": 12,
        "image_size": 384,
    },
}
_SPREAD = {"initializer_range": 0.02}
"""Of weights. SAM's own is next to nothing: numbers so small take processors ten times as long."""
_SAM: dict[str, dict[str, Any]] = {
    "base": {},
    "huge": {
        "hidden_size": 1280,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "global_attn_indexes": [7, 15, 23, 31],
        "mlp_dim": 5120,
    },
}


def save_grounding_dino(folder: Path, size: str) -> Path:
    """grounding-dino-tiny or -base, with a vocabulary in which every word is a token or unknown."""
    import torch
    from transformers import (
        BertConfig,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessorPil,
        SwinConfig,
    )

    torch.manual_seed(0)
    levels = ["stage2", "stage3", "stage4"]
    config = GroundingDinoConfig(
        backbone_config=SwinConfig(out_features=levels, **_SWIN[size]), text_config=BertConfig()
    )
    network = GroundingDinoForObjectDetection(config)
    with torch.no_grad():
        # As made, every box is the same one and every score 0.01: nothing could be compared.
        for name, weight in network.named_parameters():
            if "bbox_embed" in name or "class_embed" in name:
                weight.add_(torch.randn_like(weight) * 0.02)
    network.save_pretrained(folder)
    GroundingDinoImageProcessorPil().save_pretrained(folder)
    save_bert_tokenizer(folder)
    return folder


def save_sam(folder: Path, size: str) -> Path:
    """sam-vit-base or -huge."""
    import torch
    from transformers import SamConfig, SamImageProcessorPil, SamModel

    torch.manual_seed(0)
    SamModel(SamConfig(vision_config={**_SAM[size], **_SPREAD})).save_pretrained(folder)
    SamImageProcessorPil().save_pretrained(folder)
    return folder


def save_sam2(folder: Path) -> Path:
    """sam2.1-hiera-tiny."""
    import torch
    from transformers import Sam2Config, Sam2Model

    torch.manual_seed(0)
    Sam2Model(Sam2Config(vision_config=_SPREAD)).save_pretrained(folder)
    processor = {
        "image_processor_type": "Sam2ImageProcessorFast",
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": {"height": 1024, "width": 1024},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), encoding="utf-8")
    return folder


def save_siglip2(folder: Path) -> Path:
    """siglip2-base-patch16-224, with Gemma's number of tokens."""
    import torch
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

    torch.manual_seed(0)
    text = {"vocab_size": 256000, "max_position_embeddings": 64, "pad_token_id": 0}
    SiglipModel(SiglipConfig(text_config=text)).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 224, "width": 224}).save_pretrained(folder)
    save_bert_tokenizer(folder)
    return folder


def save_blip(folder: Path, kind: str) -> Path:
    """blip-itm-base-coco or blip-image-captioning-base, with images of 384 x 384 pixels."""
    import torch
    import transformers

    torch.manual_seed(0)
    text = {"vocab_size": 30524, "encoder_hidden_size": 768, "bos_token_id": 30522}
    text |= {"pad_token_id": 0, "sep_token_id": 102, "eos_token_id": 102}
    config = transformers.BlipConfig(text_config=text, vision_config={"image_size": 384})
    network = {
        "itm": transformers.BlipForImageTextRetrieval,
        "caption": transformers.BlipForConditionalGeneration,
    }[kind]
    network(config).save_pretrained(folder)
    transformers.BlipImageProcessorPil(size={"height": 384, "width": 384}).save_pretrained(folder)
    save_bert_tokenizer(folder)
    return folder


def save_owlv2(folder: Path) -> Path:
    """owlv2-base-patch16-ensemble."""
    import torch
    from transformers import Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessorPil

    torch.manual_seed(0)
    seen = {"image_size": 960, "patch_size": 16}
    text = {"pad_token_id": 0, "bos_token_id": 101, "eos_token_id": 102}
    config = Owlv2Config(vision_config=seen, text_config=text)
    Owlv2ForObjectDetection(config).save_pretrained(folder)
    Owlv2ImageProcessorPil(size={"height": 960, "width": 960}).save_pretrained(folder)
    save_bert_tokenizer(folder)
    return folder


def save_bert_tokenizer(folder: Path) -> None:
    """A tokenizer with BERT's special tokens at BERT's places and words of one letter."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = [f"[unused{number}]" for number in range(WORDS)]
    words[0], words[100] = "[PAD]", "[UNK]"
    words[101], words[102], words[1012], words[1029] = "[CLS]", "[SEP]", ".", "?"
    for number, letter in enumerate("abcdefghijklmnopqrstuvwxyz"):
        words[2000 + number] = letter
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 102), ("[CLS]", 101))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    ).save_pretrained(folder)
