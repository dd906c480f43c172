"""GroundingDINO in two halves: what depends on the image alone, and what needs the text.

Liu et al. 2023, arXiv 2303.05499, and MM-Grounding-DINO, arXiv 2401.02361, as in transformers. The
image's backbone and projections do not depend on the text, so their result is kept and used for
every phrase. They run on images of one size only: padding would change their windows and group
normalisation. The rest (fusing encoder, decoder) depends on padding in two places in the library;
both are corrected here, so that images of several sizes share a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from riveg.errors import UserError
from riveg.formats.json_files import read_json
from riveg.vision.detectors.grounding_dino_kernels import install_fast_layers
from riveg.vision.detectors.grounding_dino_padding import (
    FeatureMaps,
    GivenMaps,
    UnpaddedProposals,
    UnpaddedReferences,
    padded_maps,
)
from riveg.vision.detectors.grounding_dino_prompts import PhrasePrompt
from riveg.vision.runtime.loading import autocast, load_model, load_processor, place
from riveg.vision.runtime.options import TorchOptions
from riveg.vision.runtime.tensors import resized_values

if TYPE_CHECKING:
    from riveg.vision.runtime.tensors import Resizer

_KINDS = {
    "grounding-dino": "GroundingDinoForObjectDetection",
    "mm-grounding-dino": "MMGroundingDinoForObjectDetection",
}
"""``model_type`` of a folder's config.json -> class in transformers."""


@dataclass(frozen=True, slots=True)
class Detections:
    """What the network's queries found for one prompt.

    ``boxes``: xyxy in [0, 1] of the image, *shape* ``(queries, 4)``. ``scores``: the strongest
    token of each, *shape* ``(queries,)``. ``phrase_scores``: the strongest token of each phrase,
    *shape* ``(queries, phrases)``.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    phrase_scores: NDArray[np.float32]


class PhraseReader:
    """What makes a checkpoint's inputs.

    Args:
        folder: Files of the checkpoint.
        config: The network's.

    Attributes:
        prepare: Makes the network's input of an upright image.
        tokenizer: BERT's.
        most_tokens: Highest number of tokens of a prompt.

    Raises:
        UserError: If the folder lacks the files of processor or tokenizer.
    """

    def __init__(self, folder: Path, config: Any) -> None:
        import transformers

        processor = load_processor(transformers.GroundingDinoImageProcessorPil, folder)
        self.prepare: Resizer = partial(resized_values, processor)
        self.tokenizer = load_processor(transformers.AutoTokenizer, folder)
        positions = config.text_config.max_position_embeddings
        self.most_tokens = min(config.max_text_len, positions)


def load_grounding_dino(folder: Path, options: TorchOptions) -> Any:
    """The library's network of a checkpoint of either kind, in float32 and evaluation mode.

    Raises:
        UserError: If the folder is no such checkpoint, or lacks weights.
    """
    import transformers

    whole = options.model_copy(update={"dtype": "float32"})
    return load_model(getattr(transformers, _kind(folder)), folder, whole)


class GroundingDinoNetwork:
    """A checkpoint of either kind on its device.

    Weights stay in float32; ``dtype`` is what the products are computed in (autocast). In weights
    of bfloat16 a box's edge would have 8 bits: 4 pixels of 1 000.

    Args:
        folder: Files of the checkpoint.
        options: Device, number type, attention, compilation.
        network: The checkpoint's with other weights, in evaluation mode on that device; it is of
            no use for anything else afterwards.

    Raises:
        UserError: If the folder is no such checkpoint.
    """

    def __init__(self, folder: Path, options: TorchOptions, network: Any = None) -> None:
        if network is None:
            network = load_grounding_dino(folder, options)
        self._placement = place(options.device, options.dtype)
        reader = PhraseReader(folder, network.config)
        self.prepare, self.tokenizer = reader.prepare, reader.tokenizer
        self.most_tokens = reader.most_tokens
        self.config = network.config
        model = network.model
        backbone = model.backbone.conv_encoder.model
        self._encoder = ImageBackbone(backbone, _feature_maps, model.input_proj_vision)
        self._given = GivenMaps(model.backbone.position_embedding)
        # In this network alone: its own forward then gets the given maps where it would make them.
        model.backbone = self._given
        model.input_proj_vision = nn.ModuleList(
            nn.Identity() for _ in range(network.config.num_feature_levels)
        )
        self._proposals = None
        if network.config.two_stage:
            self._proposals = UnpaddedProposals(model.encoder_output_class_embed)
            model.encoder_output_class_embed = self._proposals
        UnpaddedReferences(model.decoder)
        install_fast_layers(network)
        self._network = network
        if options.compile:
            # The other half would be compiled again for every number and length of prompts.
            self._encoder.compile()

    def encode_images(self, pixels: Sequence[Tensor]) -> list[FeatureMaps]:
        """The feature maps of images that all have one size.

        *Shape:* each image ``(3, height, width)``; each map as of :data:`FeatureMaps`.
        """
        values = torch.stack(list(pixels)).to(self._placement.device)
        with torch.inference_mode(), autocast(self._placement):
            maps = self._encoder(values)
        # Copies, so that keeping one image does not keep its whole batch.
        return [tuple(one[row].clone() for one in maps) for row in range(len(pixels))]

    def detect(
        self, features: Sequence[FeatureMaps], prompts: Sequence[PhrasePrompt]
    ) -> list[Detections]:
        """What each prompt finds in its image.

        *Shape:* as of :data:`FeatureMaps` and :class:`Detections`.

        Args:
            features: Of the image of each prompt; images may differ in size.
            prompts: One for each of ``features``.
        """
        device = self._placement.device
        tokens, mask = padded_tokens(prompts, self.tokenizer.pad_token_id or 0)
        with torch.inference_mode(), autocast(self._placement):
            maps, masks = padded_maps(features, self.config.num_queries)
            self._given.maps, self._given.masks = maps, masks
            if self._proposals is not None:
                self._proposals.padding = ~torch.cat([one.flatten(1) for one in masks], 1)
            try:
                answer = self._network(
                    pixel_values=maps[0].new_zeros(len(prompts), 3, 1, 1),
                    input_ids=tokens.to(device),
                    attention_mask=mask.to(device),
                    token_type_ids=torch.zeros_like(tokens, device=device),
                )
            finally:  # where memory was short, the next batch needs that of this one
                self._given.clear()
        return detections_of(answer.logits, answer.pred_boxes, prompts)


def _kind(folder: Path) -> str:
    try:
        config = read_json(folder / "config.json")
        return _KINDS[config["model_type"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder}: expected a config.json whose model_type is one of {', '.join(_KINDS)}"
        ) from error


def _feature_maps(backbone: Any, pixels: Tensor) -> Sequence[Tensor]:
    maps: Sequence[Tensor] = backbone(pixels, return_dict=True).feature_maps
    return maps


class ImageBackbone(nn.Module):
    """Backbone and projections: all that GroundingDINO computes without the text.

    Args:
        backbone: Of images.
        run: Gives the backbone's maps of pixels, finest first.
        projections: Of these maps, and of the coarser ones that are made of them.
    """

    def __init__(
        self, backbone: Any, run: Callable[[Any, Tensor], Sequence[Tensor]], projections: Any
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.projections = projections
        self._run = run

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """The projected maps, finest first.

        *Shape:* ``(images, 3, height, width)``; each map ``(images, channels, rows, columns)``.
        """
        raw = self._run(self.backbone, pixels)
        count = len(raw)
        maps = [self.projections[level](one) for level, one in enumerate(raw)]
        for level in range(count, len(self.projections)):
            # The first of the coarser maps is made of the backbone's last, before its projection.
            maps.append(self.projections[level](raw[-1] if level == count else maps[-1]))
        return maps


def padded_tokens(prompts: Sequence[PhrasePrompt], padding: int) -> tuple[Tensor, Tensor]:
    """Prompts' tokens in rows of one length, and 1 where they are no padding.

    *Shape:* both ``(prompts, tokens)``.

    Args:
        prompts: At least one.
        padding: Token that fills the rows.
    """
    longest = max(len(prompt.tokens) for prompt in prompts)
    tokens = torch.full((len(prompts), longest), padding)
    mask = torch.zeros_like(tokens)
    for row, prompt in enumerate(prompts):
        tokens[row, : len(prompt.tokens)] = torch.tensor(prompt.tokens)
        mask[row, : len(prompt.tokens)] = 1
    return tokens, mask


def detections_of(
    logits: Tensor, boxes: Tensor, prompts: Sequence[PhrasePrompt]
) -> list[Detections]:
    """The network's output, prompt by prompt.

    Args:
        logits: *shape* ``(prompts, queries, tokens)``.
        boxes: Centre and sides in [0, 1], *shape* ``(prompts, queries, 4)``.
        prompts: One for each row.
    """
    with torch.inference_mode():
        probabilities = logits.float().sigmoid()
        centers, sides = boxes.float().split(2, dim=-1)
        corners = torch.cat([centers - sides / 2, centers + sides / 2], dim=-1).cpu().numpy()
        scores = probabilities.amax(-1).cpu().numpy()
        detections = []
        for row, prompt in enumerate(prompts):
            phrases = torch.stack(
                [probabilities[row, :, start:end].amax(-1) for start, end in prompt.phrases], -1
            )
            detections.append(Detections(corners[row], scores[row], phrases.cpu().numpy()))
    return detections


def phrase_owners(detections: Detections, threshold: float) -> NDArray[np.int64]:
    """The phrase of each box's strongest token, -1 where that is not above a threshold.

    *Shape:* ``(queries,)``.
    """
    best = detections.phrase_scores.argmax(axis=1)
    is_strong = detections.phrase_scores.max(axis=1) > threshold
    owners: NDArray[np.int64] = np.where(is_strong, best, -1)
    return owners
