"""Images of several sizes in one batch of GroundingDINO: what their padding must not do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

FeatureMaps = tuple[Tensor, ...]
"""An image's projected maps, finest first, each *shape* ``(channels, height, width)``."""


class GivenMaps(nn.Module):
    """Takes the place of the backbone and gives maps that were computed before."""

    def __init__(self, position_embedding: Any) -> None:
        super().__init__()
        self.position_embedding = position_embedding
        self.maps: list[Tensor] = []
        self.masks: list[Tensor] = []

    def clear(self) -> None:
        self.maps, self.masks = [], []

    def forward(self, *_: Tensor) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
        pairs = list(zip(self.maps, self.masks, strict=True))
        return pairs, [self.position_embedding(*pair).to(pair[0].dtype) for pair in pairs]


class UnpaddedProposals(nn.Module):
    """The head that picks places for the decoder, but never one of the padding.

    The library gives a padded place the score of an empty one, which may be the highest of all.
    """

    def __init__(self, head: Any) -> None:
        super().__init__()
        self.head = head
        self.padding: Tensor | None = None

    def forward(
        self, vision_hidden_state: Tensor, text_hidden_state: Tensor, text_token_mask: Tensor
    ) -> Tensor:
        scores: Tensor = self.head(vision_hidden_state, text_hidden_state, text_token_mask)
        if self.padding is None or self.padding.shape[1] != scores.shape[1]:
            return scores
        return scores.masked_fill(self.padding[:, :, None], float("-inf"))


class UnpaddedReferences:
    """Gives a decoder's queries their positions in the image, not in the padded map.

    The library computes a query's position from the points at which it samples the maps, and these
    shrink with the padding. Here the decoder gets ratios without padding, and only its sampling
    gets the true ones.
    """

    def __init__(self, decoder: Any) -> None:
        self._ratios: Tensor | None = None
        decoder.register_forward_pre_hook(self._keep, with_kwargs=True)
        for layer in decoder.layers:
            layer.encoder_attn.register_forward_pre_hook(self._shrink, with_kwargs=True)

    def _keep(self, _: Any, given: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        ratios = named["valid_ratios"]
        self._ratios = ratios
        return given, {**named, "valid_ratios": torch.ones_like(ratios)}

    def _shrink(self, _: Any, given: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        assert self._ratios is not None
        points = named["reference_points"]
        ratios = self._ratios.repeat(1, 1, points.shape[-1] // 2)[:, None]
        return given, {**named, "reference_points": points * ratios}


def padded_maps(
    features: Sequence[FeatureMaps], least_places: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Maps of one size at each level, and where they are no padding.

    *Shape:* maps ``(images, channels, height, width)``, masks ``(images, height, width)``.

    Args:
        features: Of one image each.
        least_places: How many places the network picks, and so must find.
    """
    sides = [
        [max(one[level].shape[axis] for one in features) for axis in (1, 2)]
        for level in range(len(features[0]))
    ]
    missing = least_places - sum(height * width for height, width in sides)
    if missing > 0:
        sides[0][0] += -(-missing // sides[0][1])
    maps, masks = [], []
    for level, (height, width) in enumerate(sides):
        first = features[0][level]
        whole = first.new_zeros(len(features), first.shape[0], height, width)
        mask = torch.zeros(len(features), height, width, dtype=torch.bool, device=first.device)
        for row, one in enumerate(features):
            part = one[level]
            whole[row, :, : part.shape[1], : part.shape[2]] = part
            mask[row, : part.shape[1], : part.shape[2]] = True
        maps.append(whole)
        masks.append(mask)
    return maps, masks
