"""Text encoders of transformers, and their fast tokenizers, from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from riveg.checkpoints.folders import require_own_files
from riveg.checkpoints.tokenizer_files import (
    read_tokenizer,
    require_bounded_files,
    require_bounded_tokenizer,
)
from riveg.errors import UserError, reason
from riveg.vision.runtime.loading import require_weights

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_UNUSED = ("pooler.",)
"""Weights that no tagger looks at, and that checkpoints of language models lack."""


_COUNT_FROM_PADDING = frozenset(
    {
        *("roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "camembert", "xmod"),
        *("mpnet", "longformer", "data2vec-text", "ibert"),
    }
)
"""Kinds whose positions begin behind the number of the padding piece."""


_NO_END = 100_000
"""Pieces in a window, where a network sets no limit."""


def load_encoder(folder: Path) -> Any:
    """A pretrained encoder in float32 on the CPU, without a pooler.

    Raises:
        UserError: If the folder holds no such model, lacks weights, or has no safetensors.
    """
    import transformers

    require_own_files(folder)
    _quiet()
    try:
        encoder, loaded = transformers.AutoModel.from_pretrained(
            folder,
            dtype="float32",
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:  # safetensors and whatever odd numbers cause
        raise UserError(f"{folder}: is no encoder that can be loaded ({reason(error)})") from error
    _require_reader(encoder, folder)
    require_weights(loaded["missing_keys"], folder, unused=_UNUSED)
    return _without_pooler(encoder)


def empty_encoder(folder: Path) -> Any:
    """An encoder by its ``config.json`` alone, for weights that are loaded later.

    Raises:
        UserError: If the file says no encoder.
    """
    import transformers

    require_own_files(folder)
    _quiet()
    try:
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        encoder = transformers.AutoModel.from_config(config, trust_remote_code=False)
    except Exception as error:  # whatever odd numbers cause
        raise UserError(f"{folder}: says no encoder ({reason(error)})") from error
    _require_reader(encoder, folder)
    return _without_pooler(encoder)


def most_pieces(encoder: Any) -> int:
    """How many pieces an encoder has positions for."""
    config = encoder.config
    most: int = getattr(config, "max_position_embeddings", 512)
    if most < 1:  # XLNet says so of positions that have no end
        return _NO_END
    return most - padding_id(encoder) - 1 if config.model_type in _COUNT_FROM_PADDING else most


def padding_id(encoder: Any) -> int:
    """The piece that fills rows of a batch."""
    found: int | None = encoder.config.pad_token_id
    return found or 0


def load_fast_tokenizer(folder: Path) -> Tokenizer:
    """A tokenizer that cuts nothing and pads nothing, whatever its files say.

    Raises:
        UserError: If the folder holds no fast tokenizer, and none can be made of its files.
    """
    if (folder / "tokenizer.json").is_file():
        tokenizer = read_tokenizer(folder / "tokenizer.json")
    else:
        tokenizer = _converted(folder)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _converted(folder: Path) -> Tokenizer:
    import transformers

    require_bounded_files(folder)
    _quiet()
    message = f"{folder}: has no fast tokenizer (no tokenizer.json)"
    try:
        loaded = transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # tokenizers raises no narrower class
        raise UserError(
            f"{message}, and none can be made of its files; choose another encoder"
        ) from error
    # The library makes a tokenizer without words where the folder has no vocabulary at all.
    has_words = any((folder / name).is_file() for name in loaded.vocab_files_names.values())
    if not loaded.is_fast or not has_words:
        raise UserError(f"{message}, and none can be made of its files; choose another encoder")
    require_bounded_tokenizer(loaded, folder)
    tokenizer: Tokenizer = loaded.backend_tokenizer
    return tokenizer


def _require_reader(encoder: Any, folder: Path) -> None:
    """Makes sure that a network reads word pieces, and nothing but them."""
    import torch

    kind = encoder.config.model_type
    advice = "choose an encoder of texts, such as BERT, RoBERTa, XLM-R or DeBERTa"
    if encoder.config.is_encoder_decoder:
        raise UserError(f"{folder}: {kind} reads and writes; {advice}")
    try:
        pieces = encoder.get_input_embeddings()
    except NotImplementedError:
        pieces = None
    if not isinstance(pieces, torch.nn.Embedding):
        raise UserError(f"{folder}: {kind} does not read word pieces alone; {advice}")


def _without_pooler(encoder: Any) -> Any:
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    return encoder


def _quiet() -> None:
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
