"""Image backbones of transformers with feature maps of three scales, from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from riveg.checkpoints.folders import require_own_files
from riveg.errors import UserError, reason
from riveg.nn.mner_qg_design import SCALES
from riveg.vision.runtime.loading import require_weights, silent_transformers

_LAST = tuple(range(-SCALES, 0))
"""The last stages: strides 8, 16 and 32 of ResNet, Swin and ConvNeXt."""

_BEGUN_ANEW = ("hidden_states_norms.",)
"""Weights of a backbone that checkpoints of classifiers lack; they begin as the identity."""


def load_backbone(folder: Path) -> Any:
    """A pretrained backbone in float32 on the CPU; it gives its last three feature maps.

    Raises:
        UserError: If the folder holds no backbone, lacks weights, or has no safetensors.
    """
    import torch

    config = _config(folder)
    try:
        with silent_transformers():
            with torch.device("meta"):
                kind = type(_from_config(config))
            backbone, loaded = kind.from_pretrained(
                folder,
                config=config,
                dtype="float32",
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except Exception as error:  # safetensors and whatever odd numbers cause
        raise _no_backbone(folder, error) from error
    require_weights(loaded["missing_keys"], folder, unused=_BEGUN_ANEW)
    return backbone


def empty_backbone(folder: Path) -> Any:
    """A backbone by its ``config.json`` alone, for weights that are loaded later.

    Raises:
        UserError: If the file says no backbone.
    """
    try:
        with silent_transformers():
            return _from_config(_config(folder))
    except Exception as error:  # whatever odd numbers cause
        raise _no_backbone(folder, error) from error


def scale_grids(backbone: Any, side: int, folder: Path) -> tuple[int, ...]:
    """Positions along a side of each feature map of a square image, finest first.

    Args:
        backbone: On the CPU.
        side: Of the image, in pixels.
        folder: The backbone's, for messages.

    Raises:
        UserError: If these are not three square maps, each finer than the next.
    """
    import torch

    backbone.eval()
    with torch.no_grad():
        maps = backbone(torch.zeros(1, 3, side, side)).feature_maps
    shapes = [tuple(one.shape[2:]) for one in maps]
    grids = tuple(height for height, _ in shapes)
    is_square = all(height == width for height, width in shapes)
    if not is_square or len({*grids}) != SCALES or list(grids) != sorted(grids, reverse=True):
        found = ", ".join(f"{height} x {width}" for height, width in shapes)
        raise UserError(
            f"backbone: {folder}: its last feature maps are {found} for {side} pixels a side; "
            "three scales are needed, as of ResNet, Swin or ConvNeXt"
        )
    return grids


def _config(folder: Path) -> Any:
    import transformers

    require_own_files(folder)
    try:
        with silent_transformers():
            return transformers.AutoConfig.from_pretrained(
                folder, out_indices=_LAST, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # whatever odd numbers cause
        raise _no_backbone(folder, error) from error


def _from_config(config: Any) -> Any:
    import transformers

    return transformers.AutoBackbone.from_config(config)


def _no_backbone(folder: Path, error: Exception) -> UserError:
    return UserError(
        f"backbone: {folder}: is none that can be loaded, as ResNet, Swin or ConvNeXt are "
        f"({reason(error)})"
    )
