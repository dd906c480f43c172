"""What texts mean in an image, by transformers' ``Sam3Model``: instances, each with box and mask.

The instances are those of the library's ``post_process_instance_segmentation``. A region gets the
mask of the one whose box overlaps its own best.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from riveg.types import Box
from riveg.vision.detectors.regions import overlaps
from riveg.vision.runtime.image_worker import Prepared
from riveg.vision.runtime.square_images import Preparation
from riveg.vision.segmenters.prompted import Prompt

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from riveg.geometry.arrays import Bitmap


_TEXTS_KEPT = 1024
"""Texts whose encoding is kept: 32 kB each."""
_MASK_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class _Seen:
    """An image's maps and their positions, finest first; its sides ``(height, width)``."""

    maps: list[torch.Tensor]
    positions: list[torch.Tensor]
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Instances:
    """What a text means: boxes (xyxy in [0, 1]), scores, and the masks' logits, one of each."""

    boxes: NDArray[np.float64]
    scores: NDArray[np.float32]
    logits: torch.Tensor


class Sam3TextNetwork:
    """Encodes images and finds the instances of texts.

    Args:
        network: A ``Sam3Model`` in evaluation mode, what follows its backbone in float32.
        tokenizer: Of its texts.
        preparation: How its images are made ready.
        threshold: An instance's score must be above it.
        overlap: Least intersection over union of an instance's box and a region's.
    """

    def __init__(
        self,
        network: Any,
        tokenizer: Any,
        preparation: Preparation,
        *,
        threshold: float,
        overlap: float,
    ) -> None:
        self.prepare = preparation.prepare
        self._network = network
        self._tokenizer = tokenizer
        self._threshold = threshold
        self._overlap = overlap
        self.most_tokens = int(network.config.text_config.max_position_embeddings)
        self._read = lru_cache(_TEXTS_KEPT)(self._encode)

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return len(self._tokenizer(text, verbose=False)["input_ids"])

    def look_at(self, images: Sequence[Prepared[torch.Tensor]]) -> Sequence[_Seen]:
        """The maps of each image."""
        import torch

        pixels = torch.cat([image.value for image in images])
        encoder = next(self._network.vision_encoder.parameters())
        with torch.inference_mode():
            found = self._network.get_vision_features(pixels.to(encoder))
        return [
            _Seen(
                [one[number : number + 1] for one in found.fpn_hidden_states],
                [one[number : number + 1] for one in found.fpn_position_encoding],
                image.size,
            )
            for number, image in enumerate(images)
        ]

    def cut_out(self, seen: _Seen, prompts: Sequence[Prompt]) -> Iterator[Bitmap]:
        """The pixels of each region's instance; none where no instance lies there."""
        texts = list(dict.fromkeys(prompt.text for prompt in prompts))
        found = dict(zip(texts, self._instances(seen, texts), strict=True))
        for prompt in prompts:
            instances = found[prompt.text]
            number = self._nearest(instances, prompt.box, seen.size)
            if number is None:
                yield np.zeros(seen.size, dtype=np.bool_)
            else:
                yield _pixels(instances.logits[number], seen.size)

    def _instances(self, seen: _Seen, texts: Sequence[str]) -> list[_Instances]:
        import torch
        from transformers.modeling_outputs import BaseModelOutputWithPooling
        from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

        read = [self._read(text) for text in texts]
        many = len(texts)
        with torch.inference_mode():
            found = self._network(
                vision_embeds=Sam3VisionEncoderOutput(
                    fpn_hidden_states=tuple(one.expand(many, -1, -1, -1) for one in seen.maps),
                    fpn_position_encoding=tuple(
                        one.expand(many, -1, -1, -1) for one in seen.positions
                    ),
                ),
                text_embeds=BaseModelOutputWithPooling(
                    pooler_output=torch.cat([features for features, _ in read])
                ),
                attention_mask=torch.cat([mask for _, mask in read]),
            )
            scores = (found.pred_logits.sigmoid() * found.presence_logits.sigmoid()).cpu().numpy()
        boxes = found.pred_boxes.cpu().numpy().astype(np.float64)
        return [_Instances(boxes[row], scores[row], found.pred_masks[row]) for row in range(many)]

    def _encode(self, text: str) -> tuple[torch.Tensor, torch.Tensor]:
        """A text's features and mask; alone, so that nothing else can move them."""
        import torch

        tokens = self._tokenizer(
            text, padding="max_length", max_length=self.most_tokens, return_tensors="pt"
        ).to(self._network.device)
        with torch.inference_mode():
            features = self._network.get_text_features(
                input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
            ).pooler_output
        return features, tokens["attention_mask"]

    def _nearest(self, found: _Instances, box: Box, size: tuple[int, int]) -> int | None:
        height, width = size
        limits = np.array([width, height, width, height], dtype=np.float64)
        edges = np.array([box.x_min, box.y_min, box.x_max, box.y_max])
        boxes = np.clip(found.boxes, 0.0, 1.0) * limits
        in_image = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        rows = np.flatnonzero(in_image & (found.scores > self._threshold))
        if not len(rows):
            return None
        shares = overlaps(edges, boxes[rows])
        best = int(shares.argmax())
        return int(rows[best]) if shares[best] >= self._overlap else None


def _pixels(logits: torch.Tensor, size: tuple[int, int]) -> Bitmap:
    import torch
    from torch.nn import functional

    with torch.inference_mode():
        # In this order, as the library: the edge of grown probabilities is not that of logits.
        grown = functional.interpolate(
            logits.sigmoid()[None, None], size, mode="bilinear", align_corners=False
        )
        pixels: Bitmap = (grown[0, 0] > _MASK_THRESHOLD).cpu().numpy()
    return pixels
