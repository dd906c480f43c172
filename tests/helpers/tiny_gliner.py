"""GLiNER2 of both architectures with a few words, saved as the published checkpoints are.

``random`` weights say what they like. ``known`` ones of the span architecture know names: every
word is read by itself, and three of them are names, each with a probability of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

Architecture = Literal["span", "boundary"]
Encoder = Literal["bert", "deberta-v2"]
"""With positions, and with relative ones, as the published checkpoints have."""
POSITIONS = 64
"""Of the encoder."""
NAMES = {"zorblax": 0.99, "quux": 0.8, "frobnitz": 0.6}
"""Known names and their probabilities; of everything else it is 0.01."""
_DEVIATION: dict[Architecture, float] = {"span": 0.12, "boundary": 0.2}
"""Of random weights, so that probabilities are spread over [0, 1]."""
_WIDTH = 32
_STRENGTH = 5.0
"""The value above which a word's own axis marks it; after normalising it is 5.6, others' -0.2."""


def require_gliner() -> None:
    """Skips the tests of a module where the package is not installed."""
    for package in ("gliner2", "peft"):
        pytest.importorskip(package, reason="the extra gliner is not installed")


def save_gliner(
    folder: Path,
    architecture: Architecture = "span",
    *,
    known: bool = False,
    encoder: Encoder = "bert",
) -> Path:
    """Saves a model; ``known`` names are those of the span architecture on BERT only."""
    import torch
    from gliner2 import AutoExtractor, ExtractorConfig
    from transformers.utils import logging

    tokenizer = _tokenizer()
    small = {"boundary_dim": 16, "pair_dim": 16, "record_dim": 16}
    head = {"boundary_head": small} if architecture == "boundary" else {}
    config = ExtractorConfig(model_name="tiny", architecture=architecture, **head)
    torch.manual_seed(0)
    logging.set_verbosity_error()  # of new words, whose vectors are random like all others
    model = AutoExtractor.from_config(
        config, encoder_config=_encoder(encoder, len(tokenizer)), tokenizer=tokenizer
    ).eval()
    with torch.no_grad():
        if known:
            _know_names(model, tokenizer)
        else:
            # Wider than usual, so that answers differ from word to word.
            for weights in model.parameters():
                if weights.dim() > 1:
                    weights.normal_(0, _DEVIATION[architecture])
            _count_three(model)
    model.save_pretrained(folder)
    return folder


def _encoder(kind: Encoder, words: int) -> Any:
    from transformers import BertConfig, DebertaV2Config

    sizes: dict[str, Any] = {
        "vocab_size": words,
        "hidden_size": _WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": POSITIONS,
    }
    if kind == "bert":
        return BertConfig(**sizes)
    return DebertaV2Config(
        **sizes,
        relative_attention=True,
        position_buckets=16,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        type_vocab_size=0,
    )


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,!?()':[]#@-"
    words = [*special, *NAMES, "the", "day", "was", "long", "person", "place", "ship", *letters]
    words += [f"##{letter}" for letter in letters]
    vocabulary = {word: place for place, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def _count_three(model: Any) -> None:
    """The span architecture first says how many instances there are; none would end it there."""
    if hasattr(model, "count_pred"):
        model.count_pred[-1].bias.zero_()
        model.count_pred[-1].bias[3] = 100.0


def _know_names(model: Any, tokenizer: Any) -> None:
    """Weights in closed form: a name has an axis, which the marks of start and end both read."""
    from math import log

    _count_three(model)
    encoder = model.encoder
    for part in encoder.encoder.layer:
        for dense in (part.attention.output.dense, part.output.dense):
            dense.weight.zero_()
            dense.bias.zero_()
    encoder.embeddings.position_embeddings.weight.zero_()
    encoder.embeddings.token_type_embeddings.weight.zero_()
    words = encoder.embeddings.word_embeddings.weight
    words.zero_()
    words[:, -1] = 1.0
    for axis, name in enumerate(NAMES):
        words[tokenizer.convert_tokens_to_ids(name)] = 0.0
        words[tokenizer.convert_tokens_to_ids(name), axis] = 1.0
    marker = model.span_rep.span_rep_layer
    outside = log(0.01 / 0.99)
    for mark in (marker.project_start, marker.project_end):
        _clear(mark)
        for axis in range(len(NAMES)):
            mark[0].weight[axis, axis] = 1.0
            mark[-1].weight[axis, axis] = 1.0
    _clear(marker.out_project)
    first, last = marker.out_project[0], marker.out_project[-1]
    for axis, probability in enumerate(NAMES.values()):
        first.weight[axis, axis] = first.weight[axis, _WIDTH + axis] = 1.0
        first.bias[axis] = -2 * _STRENGTH
        # Both ends mark it: twice the axis' value of a row that was made one of unit deviation.
        inside = 2 * ((_WIDTH - 1) ** 0.5 - _STRENGTH)
        last.weight[0, axis] = (log(probability / (1 - probability)) - outside) / inside
    last.bias[0] = outside
    projector = model.count_embed.projector
    _clear(projector)
    projector[-1].bias[0] = 1.0


def _clear(layers: Any) -> None:
    for layer in (layers[0], layers[-1]):
        layer.weight.zero_()
        layer.bias.zero_()
