"""What a training learnt, as safetensors: without the frozen weights of a base model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from riveg.errors import UserError, reason
from riveg.files import write_atomically

_FIGURES = "figures"


def _learnt(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters that are trained, and buffers: the rest is the base model's own."""
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            yield name, parameter
    yield from module.named_buffers()


def save_weights(module: nn.Module, path: Path, figures: Mapping[str, float] | None = None) -> None:
    """Writes what a module learnt, whole or not at all, with figures beside it.

    Raises:
        UserError: If the file cannot be written.
    """
    weights = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in _learnt(module)}
    # In one value: the order of several is not always the same, and so the bytes would not be.
    metadata = {_FIGURES: json.dumps(dict(figures or {}))}
    write_atomically(path, [save(weights, metadata)])


def load_weights(module: nn.Module, path: Path) -> None:
    """Gives a module what another of its kind learnt.

    Raises:
        UserError: If the file is damaged, or holds the weights of another network.
    """
    with _read(path):
        weights = load_file(path)
    with torch.no_grad(), _named(path):
        for name, tensor in _learnt(module):
            tensor.copy_(weights[name])


@contextmanager
def _read(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{path}: cannot be read ({reason(error)}); remove {path.parent}, then "
            "go on with --resume"
        ) from error


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, RuntimeError) as error:
        raise UserError(f"{path}: these are weights of another network ({error})") from error


def read_figures(path: Path) -> dict[str, float]:
    """The figures that were written beside the weights.

    Raises:
        UserError: If the file is damaged.
    """
    with _read(path), safe_open(path, framework="pt") as handle:
        figures: dict[str, float] = json.loads(handle.metadata()[_FIGURES])
    return figures
