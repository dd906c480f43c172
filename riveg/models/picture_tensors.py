"""Pictures as networks of transformers read them, without torchvision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from riveg.errors import ImageFault
from riveg.protocols import PictureSource
from riveg.types import ImageRef

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    PictureTensors = Mapping[str, torch.Tensor]


def picture_tensors(processor: Any, picture: Picture) -> PictureTensors:
    """One picture's tensors by the network's argument names; each has a batch of one.

    Args:
        processor: An image processor of transformers, of its PIL kind.
        picture: RGB, *shape* ``(height, width, 3)``.
    """
    from PIL import Image

    # As a PIL image: of an array with three rows, the processor takes the rows for the colours.
    return dict(processor(images=Image.fromarray(picture), return_tensors="pt"))


def stacked(tensors: Sequence[PictureTensors], device: torch.device) -> dict[str, torch.Tensor]:
    """Several pictures' tensors as one batch on a device."""
    import torch

    return {name: torch.cat([one[name] for one in tensors]).to(device) for name in tensors[0]}


def distinct_pictures(
    images: PictureSource, references: Iterable[ImageRef | None], processor: Any
) -> dict[str, PictureTensors | ImageFault]:
    """Each picture's tensors by its path, or why it cannot be used; none is opened twice.

    Only the tensors are kept: decoded pictures are many times larger.
    """
    found: dict[str, PictureTensors | ImageFault] = {}
    for reference in references:
        if reference is None or reference.path in found:
            continue
        try:
            found[reference.path] = picture_tensors(processor, images.load(reference))
        except ImageFault as fault:
            found[reference.path] = fault
    return found
