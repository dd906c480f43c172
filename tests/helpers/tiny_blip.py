"""BLIP and BLIP-2 with random weights and a few words, saved as the published ones are."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

_WORDS = "a the man woman dog is belong per loc org eileen collins in of photo red team ## shirt"
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,()'-"
TEXT_LIMIT = 24
_SIDE = 32


def save_itm(folder: Path) -> Path:
    """A ``BlipForImageTextRetrieval`` that reads 24 tokens and images of 32 x 32 pixels."""
    from transformers import BlipForImageTextRetrieval

    return _save(folder, BlipForImageTextRetrieval, _blip_config(), _bert_tokenizer())


def save_blip2_itm(folder: Path) -> Path:
    """A ``Blip2ForImageTextRetrieval`` that reads 24 tokens and images of 32 x 32 pixels."""
    from transformers import Blip2Config, Blip2ForImageTextRetrieval

    tokenizer = _bert_tokenizer()
    reader = {
        **_sizes(),
        "vocab_size": len(tokenizer),
        "encoder_hidden_size": 16,
        "max_position_embeddings": TEXT_LIMIT,
        "use_qformer_text_input": True,
    }
    config = Blip2Config(
        vision_config=_seen(),
        qformer_config=reader,
        num_query_tokens=4,
        image_text_hidden_size=8,
    )
    return _save(folder, Blip2ForImageTextRetrieval, config, tokenizer)


def save_captioner(folder: Path) -> Path:
    """A ``BlipForConditionalGeneration``."""
    from transformers import BlipForConditionalGeneration

    return _save(folder, BlipForConditionalGeneration, _blip_config(), _bert_tokenizer())


def save_blip2(folder: Path, writer: str) -> Path:
    """A ``Blip2ForConditionalGeneration`` whose ``writer`` is ``opt`` or ``t5``."""
    from transformers import Blip2Config, Blip2ForConditionalGeneration, OPTConfig, T5Config

    tokenizer = _blip2_tokenizer(begins=writer == "opt")
    size = len(tokenizer)
    ids = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    if writer == "opt":
        text: Any = OPTConfig(
            vocab_size=size,
            hidden_size=16,
            word_embed_proj_dim=16,
            ffn_dim=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=128,
            **ids,
        )
    else:
        text = T5Config(
            vocab_size=size,
            d_model=16,
            d_kv=8,
            d_ff=32,
            num_layers=2,
            num_heads=2,
            decoder_start_token_id=0,
            **ids,
        )
    config = Blip2Config(
        vision_config=_seen(),
        qformer_config={**_sizes(), "vocab_size": 8, "encoder_hidden_size": 16},
        text_config=text.to_dict(),
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    return _save(folder, Blip2ForConditionalGeneration, config, tokenizer)


def _save(folder: Path, kind: Any, config: Any, tokenizer: Any) -> Path:
    import torch
    from transformers import BlipImageProcessorPil

    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = kind(config)
    with torch.no_grad():
        # Wider than usual, so that answers differ from image to image.
        for weights in network.parameters():
            if weights.dim() > 1:
                weights.normal_(0, 0.5)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    BlipImageProcessorPil(size={"height": _SIDE, "width": _SIDE}).save_pretrained(folder)
    return folder


def _sizes() -> dict[str, Any]:
    return {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }


def _seen() -> dict[str, Any]:
    return {**_sizes(), "image_size": _SIDE, "patch_size": 8}


def _blip_config() -> Any:
    from transformers import BlipConfig

    text = {
        **_sizes(),
        "vocab_size": len(_bert_tokenizer()),
        "encoder_hidden_size": 16,
        "max_position_embeddings": TEXT_LIMIT,
        "pad_token_id": 0,
        "sep_token_id": 3,
        "eos_token_id": 3,
        "bos_token_id": 4,
    }
    return BlipConfig(
        text_config=text, vision_config=_seen(), projection_dim=8, image_text_hidden_size=8
    )


def _vocabulary(special: list[str]) -> list[str]:
    words = [*special, *_WORDS.split(), *_LETTERS, *(f"##{letter}" for letter in _LETTERS)]
    return list(dict.fromkeys(words))


def _bert_tokenizer() -> Any:
    from transformers import BertTokenizer

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[DEC]", "[MASK]"]
    vocabulary = {word: place for place, word in enumerate(_vocabulary(special))}
    return BertTokenizer(
        vocab=vocabulary, additional_special_tokens=["[DEC]"], model_max_length=512
    )


def _blip2_tokenizer(*, begins: bool) -> Any:
    """With a first token as OPT's has, or a last one as T5's."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<unk>", "<s>", "</s>", "<image>"]
    vocabulary = {word: place for place, word in enumerate(_vocabulary(special))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A" if begins else "$A </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=["<image>"],
    )
