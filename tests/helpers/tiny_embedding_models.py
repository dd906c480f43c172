"""Encoders of texts and images with random weights, saved as transformers saves them."""

from __future__ import annotations

from pathlib import Path


def save_text_encoder(folder: Path) -> Path:
    """A BERT of one layer whose vocabulary is single letters."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz"]
    words += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def save_image_encoder(folder: Path, kind: str) -> Path:
    """A ``clip`` or ``siglip`` of one layer that looks at 32 x 32 pixels."""
    import torch
    import transformers

    sizes = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    seen = {**sizes, "image_size": 32, "patch_size": 16}
    side = {"height": 32, "width": 32}
    torch.manual_seed(0)
    if kind == "clip":
        config = transformers.CLIPConfig(text_config=sizes, vision_config=seen, projection_dim=8)
        transformers.CLIPModel(config).save_pretrained(folder)
        transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=side).save_pretrained(
            folder
        )
    else:
        config = transformers.SiglipConfig(text_config=sizes, vision_config=seen)
        transformers.SiglipModel(config).save_pretrained(folder)
        transformers.SiglipImageProcessor(size=side).save_pretrained(folder)
    return folder
