"""The best of the masks that a network offers for a point: a part, a thing, or all of it."""

from __future__ import annotations

from typing import Any

import torch


def best_logits(answer: Any) -> torch.Tensor:
    """Of each point's masks the one with the highest quality, as the network itself predicts it.

    *Shape:* ``(points, 1, side, side)``.

    Args:
        answer: Of ``SamModel`` or ``Sam2Model``: ``pred_masks``, *shape* ``(1, points, masks, side,
            side)``, and ``iou_scores``, *shape* ``(1, points, masks)``.
    """
    logits, quality = answer.pred_masks[0], answer.iou_scores[0]
    best = quality.argmax(dim=-1)
    rows = torch.arange(len(best), device=best.device)
    chosen: torch.Tensor = logits[rows, best][:, None]
    return chosen
