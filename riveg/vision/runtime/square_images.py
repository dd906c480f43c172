"""Images as SAM 2 and SAM 3 take them: resized to a square, the aspect not kept, and normalised.

The library's processors for them need torchvision. This module makes the same calls with torch
alone, so that results are the same to the bit: an antialiased bilinear resize in 8 bits, then
means and deviations.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from riveg.errors import UserError, reason
from riveg.formats.json_files import checked, read_json

if TYPE_CHECKING:
    import torch

    from riveg.geometry.arrays import Pixels


_BILINEAR = 2
"""Pillow's number for this filter, which processors' files hold."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """How an image is prepared: the square's sides, and each channel's mean and deviation.

    ``rescale_factor`` maps the values of 8 bits to [0, 1], in which the means are given. The
    defaults are those of SAM 2.
    """

    height: int = 1024
    width: int = 1024
    rescale_factor: float = 1 / 255
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    deviation: tuple[float, ...] = (0.229, 0.224, 0.225)

    def prepare(self, pixels: Pixels) -> torch.Tensor:
        """The network's input, float32.

        *Shape:* pixels of the upright image ``(height, width, 3)``, result ``(1, 3, height,
        width)`` of the square.
        """
        import torch
        from torch.nn import functional

        # A copy: images are read-only, of which torch warns.
        values = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].contiguous()
        if pixels.shape[:2] != (self.height, self.width):
            values = functional.interpolate(
                values, (self.height, self.width), mode="bilinear", antialias=True
            )
        # Mean and deviation are scaled, not the image: the library does so, in one step.
        mean, deviation = (
            (torch.tensor(numbers) * (1.0 / self.rescale_factor)).view(3, 1, 1)
            for numbers in (self.mean, self.deviation)
        )
        return values.float().sub_(mean).div_(deviation)


def read_preparation(folder: Path, default: Preparation = Preparation()) -> Preparation:
    """How images are prepared for the model of a folder.

    Args:
        folder: The model's files.
        default: Of the published models, for what the files do not say.

    Raises:
        UserError: If the files ask for anything but a bilinear resize and normalising.
    """
    try:
        return _read(folder, default)
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"{folder}: its processor's file does not say how pictures are prepared: "
            f"{type(error).__name__}: {reason(error)}"
        ) from error


def _read(folder: Path, default: Preparation) -> Preparation:
    settings = _settings(folder)
    for step in ("do_resize", "do_rescale", "do_normalize"):
        if settings.get(step) is False:
            raise UserError(f"{folder}: {step}: false: its pictures need this step")
    if settings.get("resample", _BILINEAR) not in {_BILINEAR, "bilinear"}:
        raise UserError(f"{folder}: resample: {settings['resample']}: expected 2 (bilinear)")
    size = settings.get("size", {})
    values = {
        "height": size.get("height", default.height),
        "width": size.get("width", default.width),
        "rescale_factor": settings.get("rescale_factor", default.rescale_factor),
        "mean": settings.get("image_mean", default.mean),
        "deviation": settings.get("image_std", default.deviation),
    }
    return Preparation(
        **checked(
            _Numbers,
            values,
            f"{folder}: its processor's file does not say how pictures are prepared",
        ).model_dump()
    )


_Side = Annotated[int, Field(ge=1, le=8192)]
_Positive = Annotated[float, Field(gt=0)]


class _Numbers(BaseModel):
    """The numbers of a :class:`Preparation`, from a file that somebody else has written."""

    model_config = ConfigDict(allow_inf_nan=False)

    height: _Side
    width: _Side
    rescale_factor: _Positive
    mean: tuple[float, float, float]
    deviation: tuple[_Positive, _Positive, _Positive]


def _settings(folder: Path) -> dict[str, Any]:
    for name in ("processor_config.json", "preprocessor_config.json"):
        if not (folder / name).is_file():
            continue
        try:
            settings = read_json(folder / name)
        except (OSError, ValueError) as error:
            raise UserError(f"{folder / name}: is not JSON: {reason(error)}") from error
        # transformers 5 keeps it inside the processor's file, 4 in one of its own.
        found: dict[str, Any] = settings.get("image_processor", settings)
        if "image_mean" in found:
            return found
    return {}
