"""Images as SAM 2 and SAM 3 take them: resized to a square, the aspect not kept, and normalised.

The library's processors for them need torchvision. What they do is done here with torch alone, by
the same calls and so to the same bits: an antialiased bilinear resize in 8 bits, then means and
deviations.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riveg.errors import UserError

if TYPE_CHECKING:
    import torch

    from riveg.geometry.arrays import Pixels


_BILINEAR = 2
"""Pillow's number for it, which processors' files hold."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """How an image is made ready: the square's sides, and each channel's mean and deviation.

    ``rescale_factor`` makes 8 bits into what the means are of, [0, 1]. The defaults are those of
    SAM 2.
    """

    height: int = 1024
    width: int = 1024
    rescale_factor: float = 1 / 255
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    deviation: tuple[float, ...] = (0.229, 0.224, 0.225)

    def prepare(self, pixels: Pixels) -> torch.Tensor:
        """Float32 of *shape* ``(1, 3, height, width)``."""
        import torch
        from torch.nn import functional

        # A copy: images are read-only, of which torch warns.
        values = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].contiguous()
        if pixels.shape[:2] != (self.height, self.width):
            values = functional.interpolate(
                values, (self.height, self.width), mode="bilinear", antialias=True
            )
        # Mean and deviation are scaled, not the image: so does the library, in one step.
        mean, deviation = (
            (torch.tensor(numbers) * (1.0 / self.rescale_factor)).view(3, 1, 1)
            for numbers in (self.mean, self.deviation)
        )
        return values.float().sub_(mean).div_(deviation)


def read_preparation(folder: Path, usual: Preparation = Preparation()) -> Preparation:
    """What a model's folder says of its images.

    Args:
        folder: The model's files.
        usual: Of the published models, where it says nothing.

    Raises:
        UserError: If the file asks for something else than a bilinear resize and normalising.
    """
    try:
        return _read(folder, usual)
    except (AttributeError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(
            f"{folder}: its processor's file does not say how pictures are prepared: {reason}"
        ) from error


def _read(folder: Path, usual: Preparation) -> Preparation:
    said = _said(folder)
    for step in ("do_resize", "do_rescale", "do_normalize"):
        if said.get(step) is False:
            raise UserError(f"{folder}: {step}: false: its pictures need this step")
    if said.get("resample", _BILINEAR) not in {_BILINEAR, "bilinear"}:
        raise UserError(f"{folder}: resample: {said['resample']}: expected 2 (bilinear)")
    size = said.get("size", {})
    return Preparation(
        height=size.get("height", usual.height),
        width=size.get("width", usual.width),
        rescale_factor=said.get("rescale_factor", usual.rescale_factor),
        mean=tuple(said.get("image_mean", usual.mean)),
        deviation=tuple(said.get("image_std", usual.deviation)),
    )


def _said(folder: Path) -> dict[str, Any]:
    for name in ("processor_config.json", "preprocessor_config.json"):
        if not (folder / name).is_file():
            continue
        try:
            said = json.loads((folder / name).read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{folder / name}: is not JSON: {error}") from error
        # transformers 5 keeps it inside the processor's file, 4 in one of its own.
        found: dict[str, Any] = said.get("image_processor", said)
        if "image_mean" in found:
            return found
    return {}
