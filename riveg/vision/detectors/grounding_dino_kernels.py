"""Two layers of GroundingDINO with less work: the same sums, added in another order.

They take the places of the library's own layers and use their weights. Results differ by rounding
alone, some 1e-6 of the largest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

MapShape = tuple[int, int]
"""Height and width of a level's map."""


def install_fast_layers(network: Any) -> None:
    """Puts the layers of this module into a ``GroundingDinoForObjectDetection``.

    :class:`WeightedRows` is for CPUs only: GPUs sample maps in hardware.
    """
    model = network.model
    for layer in model.encoder.layers:
        layer.fusion_layer.attn = NarrowFusion(layer.fusion_layer.attn)
    if network.device.type == "cpu":
        for layer in model.encoder.layers:
            layer.deformable_layer.self_attn.attn = WeightedRows()
        for layer in model.decoder.layers:
            layer.encoder_attn.attn = WeightedRows()


class WeightedRows(nn.Module):
    """Multi-scale deformable attention as one weighted sum of rows, which CPUs compute fast.

    Zhu et al. 2021, arXiv 2010.04159, section 4.1. The library samples each level into a map of its
    own, concatenates the maps and then adds them up; most of its time goes into moving them. Here
    every sampled place is four rows of one table, and no sample is stored. Called as the library's
    ``MultiScaleDeformableAttention``.
    """

    def forward(
        self,
        value: Tensor,
        _shapes: Tensor,
        shapes: Sequence[MapShape],
        _starts: Tensor,
        places: Tensor,
        attention: Tensor,
        _step: int,
    ) -> Tensor:
        """The attended values, *shape* ``(batch, queries, heads * width)``.

        Args:
            value: *shape* ``(batch, places, heads, width)``.
            shapes: Height and width of each level.
            places: x and y in [0, 1] of each level, *shape* ``(batch, queries, heads, levels,
                points, 2)``; outside the image, values are 0.
            attention: *shape* ``(batch, queries, heads, levels, points)``.
        """
        batch, _, heads, width = value.shape
        queries = places.shape[1]
        rows, weights = _corners(shapes, places.float(), attention.float())
        table, most = _framed_rows(value.float(), shapes)
        first = torch.arange(batch, dtype=torch.int32, device=value.device) * most
        head = torch.arange(heads, dtype=torch.int32, device=value.device)
        rows.add_(first[:, None, None, None, None, None])
        rows.mul_(heads).add_(head[:, None, None, None])
        found = functional.embedding_bag(
            rows.view(batch * queries * heads, -1),
            table.view(-1, width),
            mode="sum",
            per_sample_weights=weights.view(batch * queries * heads, -1),
        )
        return found.view(batch, queries, heads * width).to(value.dtype)


def _framed_rows(value: Tensor, shapes: Sequence[MapShape]) -> tuple[Tensor, int]:
    """The maps of all levels, each with a frame of zeros, as rows, and the rows of an image.

    *Shape:* ``(batch, places, heads, width)`` to ``(batch, rows, heads * width)``.
    """
    batch, _, heads, width = value.shape
    maps = value.flatten(2).split([high * wide for high, wide in shapes], dim=1)
    framed = [
        functional.pad(one.view(batch, *size, heads * width), (0, 0, 1, 1, 1, 1)).flatten(1, 2)
        for one, size in zip(maps, shapes, strict=True)
    ]
    table = torch.cat(framed, dim=1)
    return table, table.shape[1]


def _corners(
    shapes: Sequence[MapShape], places: Tensor, attention: Tensor
) -> tuple[Tensor, Tensor]:
    """The four rows around each place and their weights.

    Both have the *shape* ``(batch, queries, heads, 4, levels, points)``. Places outside the image
    are moved to the frame of zeros, so that they need no special case.
    """
    sides = places.new_tensor([(wide, high) for high, wide in shapes])[:, None]
    places = (places * sides).sub_(0.5).clamp_(min=-1.0).minimum(sides)
    low = places.floor().minimum(sides - 1)
    right, down = places.sub_(low).unbind(-1)
    column, line = low.to(torch.int32).unbind(-1)

    strides = torch.tensor([wide + 2 for _, wide in shapes], dtype=torch.int32)
    starts = torch.tensor([(high + 2) * (wide + 2) for high, wide in shapes]).cumsum(0).roll(1)
    starts[0] = 0
    strides = strides[:, None].to(places.device)
    # A place in the first line and column of a map is in the second of the frame around it.
    starts = (starts[:, None].to(places.device) + strides + 1).to(torch.int32)

    shape = (*attention.shape[:3], 4, *attention.shape[3:])
    rows = torch.empty(shape, dtype=torch.int32, device=places.device)
    weights = torch.empty(shape, device=places.device)
    first = rows[:, :, :, 0]
    first.copy_(line).mul_(strides).add_(column).add_(starts)
    above, below = attention * (1 - down), attention * down
    torch.mul(above, 1 - right, out=weights[:, :, :, 0])
    torch.mul(above, right, out=weights[:, :, :, 1])
    torch.mul(below, 1 - right, out=weights[:, :, :, 2])
    torch.mul(below, right, out=weights[:, :, :, 3])
    for corner, step in enumerate((torch.ones_like(strides), strides, strides + 1), start=1):
        torch.add(first, step, out=rows[:, :, :, corner])
    return rows, weights


class NarrowFusion(nn.Module):
    """Attention between image and text without wide projections of the image.

    The library projects each of the image's thousands of places to four times its width, twice,
    and back once. The text has a handful of tokens: here only its side of each product is
    projected, and the image's side is multiplied with the result. Called as the library's
    ``GroundingDinoBiMultiHeadAttention``; arXiv 2303.05499, section 3.2, after GLIP.

    Args:
        layer: The library's, with its weights.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(
        self,
        vision_features: Tensor,
        text_features: Tensor,
        vision_attention_mask: Tensor | None = None,
        text_attention_mask: Tensor | None = None,
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """The update of the image from the text, and of the text from the image, each with weights.

        *Shape:* updates as the features; weights ``(batch * heads, places, tokens)`` and
        ``(batch * heads, tokens, places)``.

        Args:
            vision_features: *shape* ``(batch, places, width)``.
            text_features: *shape* ``(batch, tokens, width)``.
            vision_attention_mask: True where there is padding, *shape* ``(batch, places)``.
            text_attention_mask: True where there is padding, *shape* ``(batch, tokens)``.
        """
        scores = self._scores(vision_features, text_features)
        by_text, by_place = scores, scores.transpose(2, 3)
        if vision_attention_mask is not None:
            hidden = vision_attention_mask[:, None, None, :].bool()
            by_place = by_place.masked_fill(hidden, float("-inf"))
        if text_attention_mask is not None:
            hidden = text_attention_mask[:, None, None, :].bool()
            by_text = by_text.masked_fill(hidden, float("-inf"))
        to_vision, to_text = by_text.softmax(dim=-1), by_place.softmax(dim=-1)
        return (
            (self._vision_update(to_vision, text_features), to_vision.flatten(0, 1)),
            (self._text_update(to_text, vision_features), to_text.flatten(0, 1)),
        )

    def _scores(self, vision: Tensor, text: Tensor) -> Tensor:
        """Scores of each place with each token, *shape* ``(batch, heads, places, tokens)``."""
        projection = self.layer.vision_proj
        keys = self._by_head(self.layer.text_proj(text)) * float(self.layer.scale)
        # (batch, heads, tokens, width of a head) times (heads, width of a head, width)
        heads = projection.weight.view(self.layer.num_heads, self.layer.head_dim, -1)
        towards = (keys @ heads).flatten(1, 2)
        shift = (keys @ projection.bias.view(self.layer.num_heads, -1, 1)).flatten(1)
        scores = vision @ towards.transpose(1, 2) + shift[:, None]
        by_head: Tensor = scores.unflatten(2, (self.layer.num_heads, -1)).transpose(1, 2)
        return by_head.contiguous()

    def _vision_update(self, weights: Tensor, text: Tensor) -> Tensor:
        output = self.layer.out_vision_proj
        values = self._by_head(self.layer.values_text_proj(text))
        heads = output.weight.view(-1, self.layer.num_heads, self.layer.head_dim).permute(1, 2, 0)
        projected = (values @ heads).flatten(1, 2)
        update: Tensor = weights.transpose(1, 2).flatten(2) @ projected + output.bias
        return update

    def _text_update(self, weights: Tensor, vision: Tensor) -> Tensor:
        projection = self.layer.values_vision_proj
        attended = (weights.flatten(1, 2) @ vision).unflatten(1, (self.layer.num_heads, -1))
        heads = projection.weight.view(self.layer.num_heads, self.layer.head_dim, -1)
        values = attended @ heads.transpose(1, 2)
        # Weights add up to one, so the bias is added unchanged.
        values = values + projection.bias.view(self.layer.num_heads, 1, -1)
        update: Tensor = self.layer.out_text_proj(values.transpose(1, 2).flatten(2))
        return update

    def _by_head(self, values: Tensor) -> Tensor:
        """*Shape* ``(batch, heads, tokens, width of a head)``."""
        heads: Tensor = values.unflatten(2, (self.layer.num_heads, self.layer.head_dim))
        return heads.transpose(1, 2)
