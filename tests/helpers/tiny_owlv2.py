"""OWLv2 of a few thousand random weights, saved as a checkpoint."""

from __future__ import annotations

from pathlib import Path

WORDS = "a photo of red blue man woman dog with hat ann lee bob oslo city stage"


def save_owlv2(folder: Path) -> Path:
    """A checkpoint that looks at 48 x 48 pixels and reads 8 tokens, with its processor."""
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    _save_tokenizer(folder)
    sizes = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    transformers.Owlv2ImageProcessorPil(size={"height": 48, "width": 48}).save_pretrained(folder)
    config = transformers.Owlv2Config(
        text_config={
            **sizes,
            "vocab_size": 40,
            "max_position_embeddings": 8,
            "bos_token_id": 38,
            "eos_token_id": 39,
            "pad_token_id": 0,
        },
        vision_config={**sizes, "image_size": 48, "patch_size": 8},
        projection_dim=16,
    )
    torch.manual_seed(7)
    network = transformers.Owlv2ForObjectDetection(config)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "box_head" in name:
                # Small, so that boxes lie near their patches and not at the edges.
                weight.copy_(torch.randn_like(weight) * 0.2)
            elif "norm" not in name:
                weight.add_(torch.randn_like(weight) * 0.1)
    network.save_pretrained(folder)
    return folder


def _save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", *WORDS.split(" ")]
    vocabulary = {word: number for number, word in enumerate(words)}
    # The network reads a text's meaning where its highest number stands.
    vocabulary |= {"<unk>": 37, "<start>": 38, "<end>": 39}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("<end>", 39), ("<start>", 38))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<pad>",
        bos_token="<start>",
        eos_token="<end>",
        model_max_length=8,
    ).save_pretrained(folder)
