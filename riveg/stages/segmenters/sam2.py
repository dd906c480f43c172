"""Masks by Segment Anything 2 (Ravi et al. 2024, arXiv:2408.00714), prompted with the box.

The picture is encoded once, however many regions it has; all its boxes are decoded together. The
masks are those of transformers' ``Sam2Model`` and ``Sam2Processor``, one for each box
(``multimask_output=False``). They are not cut off at the box.

The library's processor for SAM 2 needs torchvision. What it does is done here with torch alone, by
the same calls and so to the same bits: the picture is resized to a square (antialiased bilinear, in
8 bits; the aspect is not kept), and normalised; the mask's logits are resized to the picture
(bilinear) and cut at 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from riveg.errors import UserError
from riveg.models.prompted_masks import load_mask_network, masks_of_mentions
from riveg.models.torch_loading import model_contents, model_folder
from riveg.models.torch_options import TorchOptions
from riveg.protocols import BackendConfig, BuildContext, Mention, PictureSource
from riveg.types import Box, Issue, Mask

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Pixels = NDArray[np.bool_]

_BILINEAR = 2
"""Pillow's number for it, which processors' files hold."""


class Sam2Config(TorchOptions, BackendConfig):
    """``batch_size``: pictures encoded together. ``boxes_at_once``: boxes decoded together."""

    stage: ClassVar[str] = "segment"
    name: ClassVar[str] = "sam2"
    summary: ClassVar[str] = "Segment Anything 2 from the box (transformers)"
    extra: ClassVar[str | None] = "models"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors")
    needs_picture: ClassVar[bool] = True

    model: str = Field(default="facebook/sam2.1-hiera-large", min_length=1)
    boxes_at_once: int = Field(default=32, ge=1)

    def build(self, context: BuildContext) -> Sam2:
        """The live backend, with its weights loaded.

        Raises:
            UserError: If the model is not there or is none of this kind.
        """
        from transformers import Sam2Model

        folder = model_folder(self, context.base)
        preparation = read_preparation(folder)
        network = load_mask_network(Sam2Model, folder, self)
        network.vision_encoder.register_forward_hook(_in_float32)
        return Sam2(
            context.images,
            network,
            preparation,
            batch_size=self.batch_size,
            boxes_at_once=self.boxes_at_once,
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the model's files."""
        return model_contents(self, base)


@dataclass(frozen=True, slots=True)
class Preparation:
    """How a picture is made ready: the square's sides, and each channel's mean and deviation.

    ``rescale_factor`` makes 8 bits into what the means are of, [0, 1].
    """

    height: int = 1024
    width: int = 1024
    rescale_factor: float = 1 / 255
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    deviation: tuple[float, ...] = (0.229, 0.224, 0.225)

    def prepare(self, picture: Picture) -> torch.Tensor:
        """Float32 of *shape* ``(1, 3, height, width)``."""
        import torch
        from torch.nn import functional

        # A copy: pictures are read-only, of which torch warns.
        pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].contiguous()
        if picture.shape[:2] != (self.height, self.width):
            pixels = functional.interpolate(
                pixels, (self.height, self.width), mode="bilinear", antialias=True
            )
        # Mean and deviation are scaled, not the picture: so does the library, in one step.
        mean, deviation = (
            (torch.tensor(values) * (1.0 / self.rescale_factor)).view(3, 1, 1)
            for values in (self.mean, self.deviation)
        )
        return pixels.float().sub_(mean).div_(deviation)


def read_preparation(folder: Path) -> Preparation:
    """What a model's folder says of its pictures; the published models' where it says nothing.

    Raises:
        UserError: If the file asks for something else than a bilinear resize and normalising.
    """
    said = _said(folder)
    for step in ("do_resize", "do_rescale", "do_normalize"):
        if said.get(step) is False:
            raise UserError(f"{folder}: {step}: false: pictures of SAM 2 need this step")
    if said.get("resample", _BILINEAR) not in {_BILINEAR, "bilinear"}:
        raise UserError(f"{folder}: resample: {said['resample']}: expected 2 (bilinear)")
    usual = Preparation()
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


@dataclass(frozen=True, slots=True)
class _Seen:
    """A picture's embeddings, finest first; its sides ``(height, width)``."""

    embeddings: list[torch.Tensor]
    size: tuple[int, int]


class Sam2:
    """Cuts regions out of their pictures.

    Args:
        images: Where pictures come from.
        network: A ``Sam2Model`` in evaluation mode.
        preparation: How its pictures are made ready.
        batch_size: Pictures encoded together.
        boxes_at_once: Boxes of a picture decoded together.
    """

    def __init__(
        self,
        images: PictureSource,
        network: Any,
        preparation: Preparation = Preparation(),
        *,
        batch_size: int = 8,
        boxes_at_once: int = 32,
    ) -> None:
        self._images = images
        self._network = network
        self._preparation = preparation
        self._batch_size = batch_size
        self._boxes_at_once = boxes_at_once

    def segment(self, mentions: Sequence[Mention]) -> Sequence[tuple[Mask, ...] | Issue]:
        """A mask for each region, of the whole picture's size.

        Its source is ``sam2``, or ``sam2:box`` where the network found no pixel and the box stands.
        """
        return masks_of_mentions(
            self,
            self._images,
            mentions,
            source="sam2",
            batch_size=self._batch_size,
            boxes_at_once=self._boxes_at_once,
        )

    def look_at(self, pictures: Sequence[Picture]) -> Sequence[_Seen]:
        """The embeddings of each upright picture."""
        import torch

        pixels = torch.cat([self._preparation.prepare(picture) for picture in pictures])
        encoder = next(self._network.vision_encoder.parameters())
        with torch.inference_mode():
            maps = self._network.get_image_embeddings(pixels.to(encoder))
        return [
            _Seen([one[number : number + 1] for one in maps], picture.shape[:2])
            for number, picture in enumerate(pictures)
        ]

    def cut_out(self, seen: _Seen, boxes: Sequence[Box]) -> Iterator[Pixels]:
        """The pixels of each box."""
        for logits in self._logits(seen, boxes):
            yield _pixels(logits, seen.size)

    def _logits(self, seen: _Seen, boxes: Sequence[Box]) -> torch.Tensor:
        """*Shape* ``(boxes, 1, side, side)``, of the square that the network saw."""
        import torch

        corners = self._scaled(boxes, seen.size).to(seen.embeddings[0].device)
        with torch.inference_mode():
            found: torch.Tensor = self._network(
                image_embeddings=seen.embeddings, input_boxes=corners[None], multimask_output=False
            ).pred_masks[0]
        return found

    def _scaled(self, boxes: Sequence[Box], size: tuple[int, int]) -> torch.Tensor:
        """Boxes in the square's pixels, *shape* ``(boxes, 4)``."""
        import torch

        edges = [(box.x_min, box.y_min, box.x_max, box.y_max) for box in boxes]
        corners = torch.tensor(edges, dtype=torch.float32)
        corners[:, 0::2] *= self._preparation.width / size[1]
        corners[:, 1::2] *= self._preparation.height / size[0]
        return corners


def _pixels(logits: torch.Tensor, size: tuple[int, int]) -> Pixels:
    import torch
    from torch.nn import functional

    with torch.inference_mode():
        grown = functional.interpolate(logits[None], size, mode="bilinear", align_corners=False)
        pixels: Pixels = (grown[0, 0] > 0.0).cpu().numpy()
    return pixels


def _in_float32(_encoder: Any, _inputs: Any, found: Any) -> Any:
    """A hook on the encoder: what follows it stays in float32."""
    found.fpn_hidden_states = tuple(one.float() for one in found.fpn_hidden_states)
    return found
