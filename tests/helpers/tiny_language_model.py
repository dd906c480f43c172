"""A tiny Qwen-like language model with random weights, made on the spot: nothing is downloaded.

    python tests/helpers/tiny_language_model.py FOLDER

Its words mean nothing; everything around them is real: weights as safetensors, a byte-level BPE
tokenizer trained on a few lines, a chat template. It needs torch and transformers, of whichever
environment runs it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

END = "<|im_end|>"
START = "<|im_start|>"
PAD = "<|endoftext|>"
WINDOW = 8192
"""The most tokens of a conversation with its answer; a server may be told to allow fewer."""

TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>"
    "{% endif %}{% endif %}"
)
"""Like Qwen3's: told not to think, the assistant's turn begins behind an empty thought. No line
break after it: with random weights and tied embeddings a model says the last token again."""

_LINES = (
    "the man in the red shirt on the left, holding a cup",
    "A crowd of people in front of a stadium with blue banners and a logo",
    "Name the entity in a short noun phrase: what would a picture show?",
    '{"expression": "the woman with a microphone", "visible": true}',
    '{"answer": "yes"} {"answer": "no"} yes no Yes No YES NO maybe',
    "person location organization other PER LOC ORG OTHER 0 1 2 3 4 5 6 7 8 9",
    "Background: a dog on a beach. Text: good morning from Nairobi . Entity: Nairobi ( LOC )",
)


def make_tiny_language_model(folder: Path, *, seed: int = 0) -> Path:
    """Writes model, tokenizer and chat template; the folder."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    tokenizer = _tokenizer()
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=64,  # kernels for other sizes are not everywhere
            max_position_embeddings=WINDOW,
            tie_word_embeddings=True,  # or it would say half characters all the time
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words.train_from_iterator(_corpus(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token=PAD,
        eos_token=END,
        chat_template=TEMPLATE,
        model_max_length=WINDOW,
        clean_up_tokenization_spaces=False,
    )


def _corpus() -> Iterator[str]:
    for _ in range(20):
        yield from _LINES


if __name__ == "__main__":
    make_tiny_language_model(Path(sys.argv[1]))
