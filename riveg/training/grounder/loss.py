"""GroundingDINO's loss: the library's matching and sums, on what the network really predicts.

Liu et al. 2023, arXiv 2303.05499, section 3.4: each gold box is matched to one query, whose tokens
of the phrase should score high and whose box should lie on it; all other tokens should score low.
The library's own ``loss`` of a batch is not used as it stands, for four reasons:

- It takes the tokens of the second text for those of all after it (``class_labels`` are moved by
  the phrases of the text itself, not by those of all before it).
- A batch in which no phrase has a box fails.
- The first stage's loss is computed on learnt embeddings and on boxes without gradients, so that
  the head that proposes boxes would never learn.
- It pads pictures to one size, which the backend never does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.loss.loss_grounding_dino import (
    GroundingDinoHungarianMatcher,
    GroundingDinoImageLoss,
)

TOKENS, MASK, PHRASE, BOXES, BOX_COUNT = "tokens", "mask", "phrase", "boxes", "box_count"
"""Keys of a batch. *Shapes:* ``(rows, tokens)`` twice; ``(rows, 2)``, the phrase's half-open range
of tokens; ``(rows, boxes, 4)``, centre and sides in [0, 1] of the picture; ``(rows,)``."""

_PIXELS = "pixels"
_LABELS = 2.0
"""Weight of the token scores, as in the library; those of boxes are in the network's settings."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """What one layer says of every query.

    Args:
        logits: Of the tokens, -inf where a text has none. *Shape:* ``(rows, queries, tokens)``.
        boxes: Centre and sides in [0, 1]. *Shape:* ``(rows, queries, 4)``.
    """

    logits: Tensor
    boxes: Tensor


def pixels_key(number: int) -> str:
    """The key of one size's pictures in a batch, *shape* ``(pictures, 3, height, width)``.

    Rows are in the order of these keys: those of the first size come first.
    """
    return f"{_PIXELS}.{number}"


def grounding_loss(network: Any, batch: Mapping[str, Tensor], *, every_layer: bool) -> Tensor:
    """The loss of a batch, a scalar: the mean over its boxes.

    Args:
        network: A ``GroundingDinoForObjectDetection`` or an ``MMGroundingDino...``.
        batch: By the keys of this module.
        every_layer: Whether all layers of the decoder and the first stage learn, as the authors
            train it; else only the last layer does.
    """
    layers = [_layers(network, *given, every_layer=every_layer) for given in _by_size(batch)]
    joined = [
        Predicted(
            torch.cat([one.logits for one in same]).float(),
            torch.cat([one.boxes for one in same]).float(),
        )
        for same in zip(*layers, strict=True)
    ]
    config = network.config
    matcher = _Matcher(
        class_cost=config.class_cost, bbox_cost=config.bbox_cost, giou_cost=config.giou_cost
    )
    criterion = GroundingDinoImageLoss(matcher, config.focal_alpha, ["labels", "boxes"])
    weights = {
        "loss_ce": _LABELS,
        "loss_bbox": config.bbox_loss_coefficient,
        "loss_giou": config.giou_loss_coefficient,
    }
    losses = [
        weights[name] * part
        for one in joined
        for name, part in criterion(*_compared(one, batch)).items()
    ]
    return torch.stack(losses).sum()


def _by_size(batch: Mapping[str, Tensor]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Pictures of one size with their tokens and mask."""
    start = number = 0
    while (pixels := batch.get(pixels_key(number))) is not None:
        end = start + len(pixels)
        yield pixels, batch[TOKENS][start:end], batch[MASK][start:end]
        start, number = end, number + 1


def _layers(
    network: Any, pixels: Tensor, tokens: Tensor, mask: Tensor, *, every_layer: bool
) -> list[Predicted]:
    """What the last layer says; then, where asked for, the first stage and the earlier layers."""
    answer = network(
        pixel_values=pixels,
        input_ids=tokens,
        attention_mask=mask,
        token_type_ids=torch.zeros_like(tokens),
    )
    found = [Predicted(answer.logits, answer.pred_boxes)]
    if not every_layer:
        return found
    if network.config.two_stage:
        found.append(_first_stage(answer, network.config.num_queries))
    states = answer.intermediate_hidden_states
    for level in range(states.shape[1] - 1):
        before = (
            answer.intermediate_reference_points[:, level - 1]
            if level
            else answer.init_reference_points
        )
        logits = network.class_embed[level](
            vision_hidden_state=states[:, level],
            text_hidden_state=answer.encoder_last_hidden_state_text,
            text_token_mask=mask.bool(),
        )
        moved = network.bbox_embed[level](states[:, level])
        boxes = (moved + torch.special.logit(before, eps=1e-5)).sigmoid()
        found.append(Predicted(logits, boxes))
    return found


def _first_stage(answer: Any, queries: int) -> Predicted:
    """The places that the encoder proposes to the decoder, as it picks them."""
    scores = answer.enc_outputs_class
    best = scores.amax(-1).topk(queries, dim=1).indices[:, :, None]
    return Predicted(
        scores.gather(1, best.expand(-1, -1, scores.shape[-1])),
        answer.enc_outputs_coord_logits.gather(1, best.expand(-1, -1, 4)).sigmoid(),
    )


def _compared(
    predicted: Predicted, batch: Mapping[str, Tensor]
) -> tuple[dict[str, Any], list[dict[str, Tensor]]]:
    """Predictions and targets in the library's words."""
    rows, _, width = predicted.logits.shape
    place = torch.arange(width, device=predicted.logits.device)[None]
    start, end = batch[PHRASE][:, :1], batch[PHRASE][:, 1:]
    # Every row gets the phrases of all rows, and its own by number. The library moves the numbers
    # by as many phrases as a row has: then any row but the first finds its own in a later copy.
    phrases = ((start <= place) & (place < end)).long()
    is_token = torch.zeros_like(predicted.logits, dtype=torch.bool)
    is_token[:, :, : batch[MASK].shape[1]] = batch[MASK][:, None].bool()
    outputs = {
        "logits": predicted.logits,
        "pred_boxes": predicted.boxes,
        "label_maps": (phrases,) * rows,
        "text_mask": is_token,
    }
    counts = batch[BOX_COUNT].tolist()
    targets = [
        {
            "class_labels": torch.full((count,), row, device=place.device),
            "boxes": batch[BOXES][row, :count],
        }
        for row, count in enumerate(counts)
    ]
    return outputs, targets


class _Matcher(GroundingDinoHungarianMatcher):  # type: ignore[misc]  # transformers has no types
    """The library's, which fails where no row of the batch has a box."""

    def forward(
        self, outputs: Mapping[str, Any], targets: Sequence[Mapping[str, Tensor]]
    ) -> list[tuple[Tensor, Tensor]]:
        if not any(len(target["boxes"]) for target in targets):
            nothing = torch.empty(0, dtype=torch.int64)
            return [(nothing, nothing) for _ in targets]
        pairs: list[tuple[Tensor, Tensor]] = super().forward(outputs, targets)
        return pairs
