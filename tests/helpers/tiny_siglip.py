"""SigLIP and SigLIP 2 with random weights and a few words, saved as the published ones are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEXT_LIMIT = 64


def save_siglip(folder: Path, kind: str = "siglip", *, padding_side: str = "right") -> Path:
    """``siglip``: 32 x 32 pixels; ``siglip2``: at most 16 patches of 8 x 8, any aspect."""
    import torch
    import transformers

    tokenizer = _tokenizer(padding_side)
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    text = {
        **sizes,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": TEXT_LIMIT,
        "projection_size": 16,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 1,
    }
    torch.manual_seed(0)
    network: Any
    processor: Any
    if kind == "siglip":
        seen = {**sizes, "image_size": 32, "patch_size": 8}
        config = transformers.SiglipConfig(text_config=text, vision_config=seen)
        network = transformers.SiglipModel(config)
        processor = transformers.SiglipImageProcessorPil(size={"height": 32, "width": 32})
    else:
        seen = {**sizes, "num_patches": 16, "patch_size": 8}
        config = transformers.Siglip2Config(text_config=text, vision_config=seen)
        network = transformers.Siglip2Model(config)
        processor = transformers.Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16)
    with torch.no_grad():
        # Wider than usual, so that answers differ from image to image.
        for weights in network.parameters():
            if weights.dim() > 1:
                weights.normal_(0, 0.5)
        network.logit_scale.fill_(1.5)
        network.logit_bias.fill_(-0.5)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _tokenizer(padding_side: str) -> Any:
    """Ends each text as Gemma's does for SigLIP 2; the published ones give no mask either."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,()'-"
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "man", "team", "in", "red"]
    words += [*letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {word: place for place, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        unk_token="<unk>",
        padding_side=padding_side,
        model_input_names=["input_ids"],
    )
