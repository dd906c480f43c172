"""Segment Anything 3 (Carion et al. 2025, arXiv:2511.16719), prompted with boxes or texts.

Boxes go to transformers' ``Sam3TrackerModel``, which is asked as SAM 2 is. Texts go to its
``Sam3Model``, which finds the instances of a text, each with a box and a mask; they are those of
the library's ``post_process_instance_segmentation``. A region gets the mask of the instance whose
box overlaps the region's best.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from riveg.geometry.boxes import pairwise_iou
from riveg.types import Box, ImageSize
from riveg.vision.runtime.image_worker import PreparedImage
from riveg.vision.runtime.loading import load_processor
from riveg.vision.runtime.options import TorchOptions
from riveg.vision.runtime.square_images import Preparation, read_preparation
from riveg.vision.segmenters.encoded_image import box_edges
from riveg.vision.segmenters.prompted import BoxPrompt, load_mask_network
from riveg.vision.segmenters.sam2 import Sam2Network, resize_map

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from riveg.geometry.arrays import Bitmap

_BACKBONE = "vision_encoder.backbone"
"""The part that runs in the options' number type: the maps behind it hold positions, which need
more bits."""
_PUBLISHED = Preparation(1008, 1008, mean=(0.5, 0.5, 0.5), deviation=(0.5, 0.5, 0.5))
_CACHED_TEXTS = 1024
"""Texts whose encoding is kept: 32 kB each."""
_MASK_THRESHOLD = 0.5


def load_sam3_for_boxes(folder: Path, options: TorchOptions) -> Sam2Network:
    """The network of a folder that is prompted with boxes.

    Raises:
        UserError: If the folder holds no such model.
    """
    from transformers import Sam3TrackerModel

    network = load_mask_network(Sam3TrackerModel, folder, options, _BACKBONE)
    return Sam2Network(network, read_preparation(folder, _PUBLISHED))


def load_sam3_for_texts(
    folder: Path, options: TorchOptions, *, threshold: float, overlap: float
) -> Sam3TextNetwork:
    """The network of a folder that is prompted with texts.

    Args:
        folder: Files of the checkpoint.
        options: Device, number type, attention, compilation.
        threshold: As of :class:`Sam3TextNetwork`.
        overlap: Likewise.

    Raises:
        UserError: If the folder holds no such model.
    """
    from transformers import AutoTokenizer, Sam3Model

    return Sam3TextNetwork(
        load_mask_network(Sam3Model, folder, options, _BACKBONE),
        load_processor(AutoTokenizer, folder),
        read_preparation(folder, _PUBLISHED),
        threshold=threshold,
        overlap=overlap,
    )


@dataclass(frozen=True, slots=True)
class PositionedPyramid:
    """An image's feature maps and their position encodings, finest first, and its size upright.

    ``maps``, ``positions``: each of *shape* ``(1, channels, rows, columns)``.
    """

    maps: list[torch.Tensor]
    positions: list[torch.Tensor]
    size: ImageSize


@dataclass(frozen=True, slots=True)
class _Instances:
    """What a text means in an image.

    ``boxes``: xyxy in [0, 1], *shape* ``(instances, 4)``. ``scores``: in [0, 1], *shape*
    ``(instances,)``. ``logits``: of the masks, *shape* ``(instances, rows, columns)``.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float32]
    logits: torch.Tensor


class Sam3TextNetwork:
    """Encodes images and finds the instances of texts.

    Args:
        network: A ``Sam3Model`` in evaluation mode; its parts behind the backbone compute in
            float32.
        tokenizer: Of its texts.
        preparation: How its images are prepared.
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
        self._encode_text_once = lru_cache(_CACHED_TEXTS)(self._encode_text)

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, special ones included."""
        return len(self._tokenizer(text, verbose=False)["input_ids"])

    def encode_images(
        self, images: Sequence[PreparedImage[torch.Tensor]]
    ) -> Sequence[PositionedPyramid]:
        """The feature maps of each image.

        *Shape:* each input ``(1, 3, height, width)`` of the network's square.
        """
        pixels = torch.cat([image.value for image in images])
        encoder = next(self._network.vision_encoder.parameters())
        with torch.inference_mode():
            features = self._network.get_vision_features(pixels.to(encoder))
        return [
            PositionedPyramid(
                [level[number : number + 1] for level in features.fpn_hidden_states],
                [level[number : number + 1] for level in features.fpn_position_encoding],
                image.size,
            )
            for number, image in enumerate(images)
        ]

    def decode_masks(
        self, image: PositionedPyramid, prompts: Sequence[BoxPrompt]
    ) -> Iterator[Bitmap]:
        """The mask of the instance at each prompt's box; without a pixel where there is none.

        *Shape:* each ``(height, width)`` of the upright image.
        """
        texts = list(dict.fromkeys(prompt.text for prompt in prompts))
        instances_by_text = dict(zip(texts, self._instances(image, texts), strict=True))
        for prompt in prompts:
            instances = instances_by_text[prompt.text]
            number = self._nearest(instances, prompt.box, image.size)
            if number is None:
                yield np.zeros((image.size.height, image.size.width), dtype=np.bool_)
            else:
                yield _bitmap(instances.logits[number], image.size)

    def _instances(self, image: PositionedPyramid, texts: Sequence[str]) -> list[_Instances]:
        from transformers.modeling_outputs import BaseModelOutputWithPooling
        from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

        encoded = [self._encode_text_once(text) for text in texts]
        count = len(texts)
        with torch.inference_mode():
            answer = self._network(
                vision_embeds=Sam3VisionEncoderOutput(
                    fpn_hidden_states=_repeated(image.maps, count),
                    fpn_position_encoding=_repeated(image.positions, count),
                ),
                text_embeds=BaseModelOutputWithPooling(
                    pooler_output=torch.cat([features for features, _ in encoded])
                ),
                attention_mask=torch.cat([mask for _, mask in encoded]),
            )
            scores = answer.pred_logits.sigmoid() * answer.presence_logits.sigmoid()
        boxes = answer.pred_boxes.cpu().numpy().astype(np.float64)
        scores = scores.cpu().numpy()
        return [_Instances(boxes[row], scores[row], answer.pred_masks[row]) for row in range(count)]

    def _encode_text(self, text: str) -> tuple[torch.Tensor, torch.Tensor]:
        """A text's features and attention mask; encoded by itself, so that no other changes it.

        *Shape:* ``(1, tokens, channels)`` and ``(1, tokens)``.
        """
        tokens = self._tokenizer(
            text, padding="max_length", max_length=self.most_tokens, return_tensors="pt"
        ).to(self._network.device)
        with torch.inference_mode():
            features = self._network.get_text_features(
                input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
            ).pooler_output
        return features, tokens["attention_mask"]

    def _nearest(self, instances: _Instances, box: Box, size: ImageSize) -> int | None:
        """The instance that a region's box overlaps best; ``None`` where none does enough."""
        boxes = np.clip(instances.boxes, 0.0, 1.0) * np.array([*size, *size], dtype=np.float64)
        has_area = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        rows = np.flatnonzero(has_area & (instances.scores > self._threshold))
        if not len(rows):
            return None
        shares = pairwise_iou(box_edges([box]), boxes[rows])[0]
        best = int(shares.argmax())
        return int(rows[best]) if shares[best] >= self._overlap else None


def _repeated(levels: Sequence[torch.Tensor], count: int) -> tuple[torch.Tensor, ...]:
    """Maps of one image for a batch of ``count`` texts."""
    return tuple(level.expand(count, -1, -1, -1) for level in levels)


def _bitmap(logits: torch.Tensor, size: ImageSize) -> Bitmap:
    with torch.inference_mode():
        # In the library's order: probabilities are resized, which moves the edge, not logits.
        probabilities = resize_map(logits.sigmoid()[None], size)
        bitmap: Bitmap = (probabilities > _MASK_THRESHOLD).cpu().numpy()
    return bitmap
