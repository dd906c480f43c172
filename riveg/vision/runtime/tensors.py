"""Images as networks of transformers read them, without torchvision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from riveg.geometry.arrays import Pixels

    ImageTensors = Mapping[str, torch.Tensor]
    Resizer = Callable[..., torch.Tensor]
    """Makes *shape* ``(3, height, width)`` of an image and its input's ``shortest`` and
    ``longest`` side; a function that can be sent to another process."""


def image_tensors(processor: Any, pixels: Pixels, **options: Any) -> ImageTensors:
    """One image's tensors by the network's argument names; each has a batch of one.

    Args:
        processor: An image processor of transformers, of its PIL kind.
        pixels: RGB, *shape* ``(height, width, 3)``.
        **options: That the processor is told instead of its own.
    """
    from PIL import Image

    # As a PIL image: of an array with three rows, the processor takes the rows for the colours.
    return dict(processor(images=Image.fromarray(pixels), return_tensors="pt", **options))


def stacked(tensors: Sequence[ImageTensors], device: torch.device) -> dict[str, torch.Tensor]:
    """Several images' tensors as one batch on a device."""
    import torch

    return {name: torch.cat([one[name] for one in tensors]).to(device) for name in tensors[0]}


def pixel_values(processor: Any, pixels: Pixels, **options: Any) -> torch.Tensor:
    """One image as its network takes it, *shape* ``(3, height, width)``.

    Args:
        processor: As of :func:`image_tensors`.
        pixels: Likewise.
        **options: That the processor is told instead of its own.
    """
    return image_tensors(processor, pixels, **options)["pixel_values"][0]


def resized_values(processor: Any, pixels: Pixels, shortest: int, longest: int) -> torch.Tensor:
    """As :func:`pixel_values`, of an image resized with its aspect kept.

    Args:
        processor: As of :func:`image_tensors`.
        pixels: Likewise.
        shortest: What its shorter side is resized to, in pixels, unless
        longest: the longer one would become longer than that.
    """
    height, width = input_size(pixels.shape[0], pixels.shape[1], shortest, longest)
    size = {"height": height, "width": width}
    return pixel_values(processor, pixels, size=size, do_pad=False)


def input_size(height: int, width: int, shortest: int, longest: int) -> tuple[int, int]:
    """Height and width that an image is resized to: as the library does, but never nothing.

    >>> input_size(480, 640, 800, 1333)
    (800, 1066)
    """
    from transformers.image_transforms import get_size_with_aspect_ratio

    found = get_size_with_aspect_ratio((height, width), shortest, longest)
    return max(1, int(found[0])), max(1, int(found[1]))
