"""Tiny vision-language models of the Qwen family with random weights, made on the spot.

    python tests/helpers/tiny_vision_language.py KIND FOLDER

All around the weights is as in the published checkpoints: special tokens, a chat template that
takes images, a preprocessor's settings. What differs is size: two layers, and a tokenizer of bytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parents[2]

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

KINDS = ("qwen2_5_vl", "qwen3_vl")

END, START, PAD = "<|im_end|>", "<|im_start|>", "<|endoftext|>"
IMAGE, VIDEO = "<|image_pad|>", "<|video_pad|>"
VISION_START, VISION_END = "<|vision_start|>", "<|vision_end|>"
SPECIAL = (PAD, START, END, VISION_START, VISION_END, IMAGE, VIDEO)

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}"
    "{% if part.type == 'image' or part.type == 'image_url' or 'image' in part %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part.text }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_CORPUS = (ROOT / "prompts" / "extract", ROOT / "prompts" / "ground", ROOT / "prompts" / "rerank")
"""The words of the prompts become single tokens, so that prompts are short."""


def make_tiny_vision_language_model(
    folder: Path, kind: str = "qwen2_5_vl", *, seed: int = 0, width: int = 64
) -> Path:
    """Writes model, tokenizer, chat template and the preprocessor's settings; the folder."""
    import torch

    torch.manual_seed(seed)
    tokenizer = _tokenizer()
    model = _model(kind, tokenizer, width)
    with torch.no_grad():
        model.lm_head.weight.mul_(5)  # or no logit could be large: the head stays as it is
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(_preprocessor(kind), indent=2))
    return folder


def _model(kind: str, tokenizer: PreTrainedTokenizerFast, width: int) -> Any:
    import transformers as t

    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "initializer_range": 0.1,
        "num_attention_heads": width // 16,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    numbers = {
        "image_token_id": tokenizer.convert_tokens_to_ids(IMAGE),
        "video_token_id": tokenizer.convert_tokens_to_ids(VIDEO),
        "vision_start_token_id": tokenizer.convert_tokens_to_ids(VISION_START),
        "vision_end_token_id": tokenizer.convert_tokens_to_ids(VISION_END),
        "tie_word_embeddings": False,
    }
    if kind == "qwen2_5_vl":
        rope = {"type": "default", "rope_type": "default", "mrope_section": [2, 3, 3]}
        vision = {
            **{"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2},
            **{"out_hidden_size": width, "patch_size": 14, "fullatt_block_indexes": [1]},
        }
        config = t.Qwen2_5_VLConfig(
            text_config={**text, "rope_parameters": {**rope, "rope_theta": 1e6}},
            vision_config=vision,
            **numbers,
        )
        return t.Qwen2_5_VLForConditionalGeneration(config)
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3]}
    vision = {
        **{"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2},
        **{"out_hidden_size": width, "patch_size": 16, "num_position_embeddings": 64},
        **{"deepstack_visual_indexes": [0]},
    }
    config = t.Qwen3VLConfig(
        text_config={
            **{**text, "head_dim": 16},
            "rope_parameters": {**rope, "mrope_interleaved": True, "rope_theta": 5e6},
        },
        vision_config=vision,
        **numbers,
    )
    return t.Qwen3VLForConditionalGeneration(config)


def _preprocessor(kind: str) -> dict[str, Any]:
    patch = 14 if kind == "qwen2_5_vl" else 16
    factor = 2 * patch
    own = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    mean, deviation = own if kind == "qwen2_5_vl" else ([0.5] * 3, [0.5] * 3)
    return {
        "image_processor_type": "Qwen2VLImageProcessor",
        "size": {"shortest_edge": 4 * factor * factor, "longest_edge": 64 * factor * factor},
        "patch_size": patch,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": mean,
        "image_std": deviation,
    }


def _tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1200,
        special_tokens=[*SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [path.read_text("utf-8") for folder in _CORPUS for path in sorted(folder.iterdir())]
    words.train_from_iterator(texts * 20, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token=PAD,
        eos_token=END,
        chat_template=TEMPLATE,
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )


if __name__ == "__main__":
    make_tiny_vision_language_model(Path(sys.argv[2]), sys.argv[1])
