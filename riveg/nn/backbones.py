"""Image backbones of transformers with feature maps of three scales, from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from riveg.checkpoints.folders import require_own_files
from riveg.errors import UserError, reason
from riveg.formats.json_files import checked, read_json
from riveg.nn.mner_qg_design import SCALES
from riveg.vision.runtime.loading import require_weights, silent_transformers

_LAST = tuple(range(-SCALES, 0))
"""The last stages: strides 8, 16 and 32 of ResNet, Swin and ConvNeXt."""

Channels = tuple[float, float, float]
_Positive = Annotated[float, Field(gt=0)]
_IMAGENET: tuple[Channels, Channels] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_DEFAULT = {"image_mean": _IMAGENET[0], "image_std": _IMAGENET[1]}

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
    config = _config(folder)
    try:
        with silent_transformers():
            return _from_config(config)
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


def channel_statistics(folder: Path) -> tuple[Channels, Channels]:
    """Mean and deviation of images that a backbone was pretrained with; ImageNet's by default.

    In [0, 1], by channel, RGB. How its processor resizes is not heeded.

    Raises:
        UserError: If the processor's file says them in another way.
    """
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return _IMAGENET
    try:
        found = checked(_Statistics, {**_DEFAULT, **read_json(path)}, f"{path}: cannot be used")
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: cannot be used ({reason(error)})") from error
    return found.image_mean, found.image_std


class _Statistics(BaseModel):
    """Of a processor's file that somebody else has written, the two that count."""

    model_config = ConfigDict(allow_inf_nan=False)

    image_mean: Channels
    image_std: tuple[_Positive, _Positive, _Positive]


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
