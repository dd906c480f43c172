"""Weights that were published as a pickle only: ``pytorch_model.bin``, read as tensors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from riveg.checkpoints.folders import Shards
from riveg.errors import UserError
from riveg.formats.json_files import checked, read_json
from riveg.vision.runtime.checkpoint_files import import_torch, read_checkpoint

if TYPE_CHECKING:
    import torch

_WHOLE = "pytorch_model.bin"
_INDEX = "pytorch_model.bin.index.json"


def read_pickled_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights by name, of one file or of those that an index names.

    Nothing in the files is run: torch reads them with ``weights_only``, and what is no tensor is
    refused.

    Raises:
        UserError: If a file is missing, damaged, or holds anything but tensors and their names.
    """
    names = [_WHOLE]
    if (folder / _INDEX).is_file():
        index = checked(Shards, read_json(folder / _INDEX), f"{folder / _INDEX}: is no index")
        names = sorted({*index.weight_map.values()})
    weights: dict[str, torch.Tensor] = {}
    for name in names:
        weights |= _tensors(folder / name)
    return weights


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    torch = import_torch()
    found = read_checkpoint(path, "file of weights")
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected tensors by name, found {type(found).__name__}")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise UserError(
                f"{path}: expected tensors by name, found {type(value).__name__} as {name!r:.80}"
            )
    return found
