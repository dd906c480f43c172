"""GroundingDINO and MM-Grounding-DINO of a few thousand random weights, saved as checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WORDS = "a red blue man woman dog with hat ann lee bob oslo st louis city stage , -"


def save_grounding_dino(folder: Path, kind: str = "grounding-dino", **fields: Any) -> Path:
    """A checkpoint of two encoder and two decoder layers, with its processor.

    Args:
        folder: Where to.
        kind: ``grounding-dino`` or ``mm-grounding-dino``.
        **fields: Of the configuration, instead of the usual ones.
    """
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(folder)
    transformers.GroundingDinoImageProcessorPil().save_pretrained(folder)
    text = transformers.BertConfig(
        vocab_size=1100,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
    )
    backbone = transformers.SwinConfig(
        embed_dim=8,
        depths=[2, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=3,
        out_features=["stage2", "stage3", "stage4"],
    )
    usual = {
        "num_queries": 30,
        "d_model": 32,
        "encoder_layers": 2,
        "encoder_attention_heads": 4,
        "encoder_ffn_dim": 32,
        "decoder_layers": 2,
        "decoder_attention_heads": 4,
        "decoder_ffn_dim": 32,
        "max_text_len": 32,
    }
    config_kind, network_kind = {
        "grounding-dino": (
            transformers.GroundingDinoConfig,
            transformers.GroundingDinoForObjectDetection,
        ),
        "mm-grounding-dino": (
            transformers.MMGroundingDinoConfig,
            transformers.MMGroundingDinoForObjectDetection,
        ),
    }[kind]
    torch.manual_seed(7)
    network = network_kind(
        config_kind(backbone_config=backbone, text_config=text, **{**usual, **fields})
    )
    # What training starts at zero or next to it would make every box and score the same.
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "sampling_offsets" not in name and "norm" not in name:
                weight.add_(torch.randn_like(weight) * 0.15)
    network.save_pretrained(folder)
    return folder


def save_tokenizer(folder: Path) -> None:
    """BERT's kind of tokenizer for a few words and, by letters, for any other."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = [f"[unused{number}]" for number in range(1100)]
    # The network knows these four by their number.
    words[0], words[100] = "[PAD]", "[UNK]"
    words[101], words[102], words[1012], words[1029] = "[CLS]", "[SEP]", ".", "?"
    for number, word in enumerate(WORDS.split(" ")):
        words[200 + number] = word
    for number, letter in enumerate("abcdefghijklmnopqrstuvwxyz"):
        words[300 + number] = f"##{letter}"
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
