"""The network that is trained: a frozen vision-language model with low-rank matrices beside it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peft
import transformers
from safetensors import safe_open
from torch import Tensor, nn

from riveg.checkpoints.adapters import SETTINGS, WEIGHTS, adapter_of
from riveg.checkpoints.folders import require_own_files
from riveg.errors import UserError, reason, suggest
from riveg.llm.endpoint import Endpoint
from riveg.training.vlm.inputs import IGNORED
from riveg.training.vlm.settings import Lora, VlmSettings
from riveg.vision.runtime.loading import (
    place,
    require_numbers,
    require_weights,
    silent_transformers,
)

_ELSEWHERE = r"(?!.*\blanguage_model\.).*"
"""Names of layers outside of the language half, as transformers calls that in every family."""


def load_network(config: VlmSettings, folder: Path) -> Any:
    """The model with matrices of random weights, the same for the same seed, or of an adapter.

    Args:
        config: What is trained.
        folder: The model's files.

    Raises:
        UserError: If the model or the adapter cannot be loaded, or do not belong together.
    """
    base = _base(folder, config)
    base.requires_grad_(False)
    if config.gradient_checkpointing:
        # Its name from transformers 5.24 on, and before.
        enable = getattr(base, "activation_checkpointing_enable", None)
        (enable or base.gradient_checkpointing_enable)({"use_reentrant": False})
    transformers.set_seed(config.loop.seed)
    with _quiet_peft():
        if config.adapter is None:
            return _with_new_matrices(base, config.lora, config.model)
        return _with_adapter(base, config.adapter, str(folder))


def answer_loss(network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """The mean negative log-likelihood of the tokens of the answers; a scalar.

    The language head sees the places before these tokens alone: logits of all places would take
    more memory than the rest of a step.

    Args:
        network: As :func:`load_network` gives it.
        batch: With ``labels``.
    """
    base: Any = network.get_base_model()  # type: ignore[operator]  # peft has no types
    labels = batch["labels"][:, 1:]
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    hidden = base.model(**inputs, use_cache=False).last_hidden_state[:, :-1]
    is_learnt = labels != IGNORED
    logits = base.lm_head(hidden[is_learnt])
    return nn.functional.cross_entropy(logits.float(), labels[is_learnt])


def _base(folder: Path, config: VlmSettings) -> Any:
    placement = place(config.loop.device, config.dtype)
    require_own_files(folder)
    kind = transformers.AutoModelForImageTextToText
    try:
        with silent_transformers():
            network, loaded = kind.from_pretrained(
                folder,
                dtype=placement.dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except Exception as error:  # safetensors and whatever odd numbers cause
        raise UserError(
            f"model: {folder}: is no vision-language model that can be loaded: {reason(error)}"
        ) from error
    require_weights(loaded["missing_keys"], folder)
    require_numbers(network, folder)
    return network


def _with_new_matrices(base: Any, lora: Lora, model: str) -> Any:
    layers = [name for name, _ in base.named_modules() if not re.match(_ELSEWHERE, name)]
    for module in lora.modules:
        if not any(name == module or name.endswith(f".{module}") for name in layers):
            raise UserError(
                f"lora.modules: the language half of {model} has no layer {module!r:.80}; "
                f"{suggest(module, Lora().modules)}"
            )
    matrices = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.modules),
        exclude_modules=_ELSEWHERE,
        task_type="CAUSAL_LM",
        base_model_name_or_path=model,
    )
    try:
        return peft.get_peft_model(base, matrices)
    except ValueError as error:
        raise UserError(f"lora.modules: {reason(error)}") from error


def _with_adapter(base: Any, adapter: str, model: str) -> Any:
    """The model with the matrices of an adapter, which go on learning."""
    # As a system would name both; nothing is served.
    found = adapter_of(Endpoint(model=model, engine="vllm-offline", adapter=adapter))
    assert found is not None
    try:
        network = peft.PeftModel.from_pretrained(base, str(found.folder), is_trainable=True)
        fitting = len(peft.get_peft_model_state_dict(network, save_embedding_layers=False))
        with safe_open(found.folder / WEIGHTS, "pt") as weights:
            held = len(weights.keys())
    except Exception as error:  # shapes, names, safetensors: peft has no class for them
        raise UserError(f"{adapter}: the adapter does not fit {model}: {reason(error)}") from error
    if held != fitting:
        raise UserError(
            f"{adapter}: the adapter holds {held} matrices, and {model} with its {SETTINGS} has "
            f"{fitting}"
        )
    return network


@contextmanager
def _quiet_peft() -> Iterator[None]:
    """Without the warnings about names that transformers gives up and peft still asks for.

    That weights are missing is a warning, too; the rest would be as nobody has trained it.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
        warnings.filterwarnings("error", "Found missing adapter keys")
        yield
