"""OWLv2 (Minderer et al. 2023, arXiv 2306.09683) in three parts: images, texts, and both.

Images and texts meet only in the last product, so each goes through its encoder once, whatever it
is compared with. The encoders compute in the given number type, the small heads in float32, so that
edges are not rounded to the 8 bits of bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from riveg.vision.runtime.loading import autocast, load_model, load_processor, place
from riveg.vision.runtime.options import TorchOptions
from riveg.vision.runtime.tensors import pixel_values


@dataclass(frozen=True, slots=True)
class PatchBoxes:
    """The patches of an image and the box that each proposes.

    ``patches``: *shape* ``(patches, channels)``. ``boxes``: xyxy in shares of the padded square,
    *shape* ``(patches, 4)``.
    """

    patches: Tensor
    boxes: NDArray[np.float32]


class Owlv2Network:
    """A checkpoint on its device.

    Args:
        folder: Files of the checkpoint.
        options: Device, number type, attention, compilation.

    Raises:
        UserError: If the folder is no such checkpoint.
    """

    def __init__(self, folder: Path, options: TorchOptions) -> None:
        import transformers

        whole = options.model_copy(update={"dtype": "float32"})
        kind = transformers.Owlv2ForObjectDetection
        self._network = load_model(kind, folder, whole, ("owlv2.vision_model",))
        self._placement = place(options.device, options.dtype)
        self._tokenizer = load_processor(transformers.AutoTokenizer, folder)
        sides = self._network.config.vision_config.image_size
        processor = load_processor(transformers.Owlv2ImageProcessorPil, folder)
        size = {"height": sides, "width": sides}
        self.prepare: Callable[[NDArray[np.uint8]], Tensor] = partial(
            pixel_values, processor, size=size
        )
        """Pads an image to a square and resizes it, *shape* ``(3, side, side)``."""
        self.most_tokens = int(self._network.config.text_config.max_position_embeddings)

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, special ones included."""
        return len(self._tokenizer(text, verbose=False)["input_ids"])

    def encode_images(self, pixels: Sequence[Tensor]) -> list[PatchBoxes]:
        """The patches of images and their boxes.

        *Shape:* each image ``(3, side, side)``.
        """
        values = torch.stack(list(pixels)).to(self._placement.device)
        with torch.inference_mode():
            with autocast(self._placement):
                grid, _ = self._network.image_embedder(pixel_values=values)
            grid = grid.float()
            patches = grid.flatten(1, 2)
            centers, sides = self._network.box_predictor(patches, grid).split(2, dim=-1)
            corners = torch.cat([centers - sides / 2, centers + sides / 2], dim=-1).cpu().numpy()
        return [PatchBoxes(patches[row].clone(), corners[row]) for row in range(len(pixels))]

    def encode_texts(self, texts: Sequence[str]) -> list[Tensor]:
        """Directions of texts that are short enough, of length 1, float32.

        *Shape:* each ``(channels,)``.
        """
        tokens = self._tokenizer(
            list(texts), padding="max_length", max_length=self.most_tokens, return_tensors="pt"
        ).to(self._placement.device)
        with torch.inference_mode(), autocast(self._placement):
            features = self._network.owlv2.get_text_features(
                input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
            ).pooler_output.float()
        return list(features / features.norm(p=2, dim=-1, keepdim=True))

    def score_boxes(self, image: PatchBoxes, texts: Sequence[Tensor]) -> NDArray[np.float32]:
        """How well each box fits each text, in [0, 1].

        *Shape:* each text ``(channels,)``, result ``(texts, patches)``.
        """
        with torch.inference_mode():
            logits, _ = self._network.class_predictor(image.patches[None], torch.stack([*texts]))
            probabilities: NDArray[np.float32] = logits[0].T.sigmoid().cpu().numpy()
        return probabilities
