"""Images as networks of transformers read them, without torchvision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from riveg.types import ImageSize

if TYPE_CHECKING:
    import torch

    from riveg.geometry.arrays import Pixels

    ImageTensors = Mapping[str, torch.Tensor]
    Resizer = Callable[..., torch.Tensor]
    """Makes a tensor of *shape* ``(3, height, width)`` of pixels and the ``shortest`` and
    ``longest`` side of the input; ``pickle`` can send it to another process."""


def image_tensors(processor: Any, pixels: Pixels, **options: Any) -> ImageTensors:
    """One image's tensors, by the names of the network's arguments.

    *Shape:* pixels ``(height, width, 3)``, each tensor ``(1, ...)``.

    Args:
        processor: An image processor of transformers, of its PIL kind.
        pixels: Of the upright image.
        **options: Take the place of the processor's own.
    """
    from PIL import Image

    # As a PIL image: the processor would take the rows of an array with three rows for colours.
    return dict(processor(images=Image.fromarray(pixels), return_tensors="pt", **options))


def stacked(tensors: Sequence[ImageTensors], device: torch.device) -> dict[str, torch.Tensor]:
    """Several images' tensors as one batch on a device, by name.

    *Shape:* each ``(1, ...)``, together ``(images, ...)``.
    """
    import torch

    return {name: torch.cat([one[name] for one in tensors]).to(device) for name in tensors[0]}


def pixel_values(processor: Any, pixels: Pixels, **options: Any) -> torch.Tensor:
    """One image as its network takes it.

    *Shape:* pixels ``(height, width, 3)``, result ``(3, height, width)``.

    Args:
        processor: An image processor of transformers, of its PIL kind.
        pixels: Of the upright image.
        **options: Take the place of the processor's own.
    """
    return image_tensors(processor, pixels, **options)["pixel_values"][0]


def resized_values(processor: Any, pixels: Pixels, shortest: int, longest: int) -> torch.Tensor:
    """As :func:`pixel_values`, of an image resized with its aspect kept.

    *Shape:* pixels ``(height, width, 3)``, result ``(3, height, width)``.

    Args:
        processor: An image processor of transformers, of its PIL kind.
        pixels: Of the upright image.
        shortest: Length of the shorter side after resizing, in pixels, unless the longer one
            would be above ``longest``.
        longest: Highest length of the longer side, in pixels.
    """
    height, width = pixels.shape[:2]
    size = input_size(ImageSize(width, height), shortest, longest)
    return pixel_values(processor, pixels, size=size._asdict(), do_pad=False)


def input_size(size: ImageSize, shortest: int, longest: int) -> ImageSize:
    """The size that the library resizes an image to, but at least one pixel each way.

    >>> input_size(ImageSize(640, 480), 800, 1333)
    ImageSize(width=1066, height=800)
    """
    from transformers.image_transforms import get_size_with_aspect_ratio

    height, width = get_size_with_aspect_ratio((size.height, size.width), shortest, longest)
    return ImageSize(max(1, int(width)), max(1, int(height)))
