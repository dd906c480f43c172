"""The embedded tagger in training, tiny: without dropout, masks and swapped mentions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import BertModel

from helpers.tiny_taggers import tiny_tokenizer
from riveg.nn.shape_tagger import ShapeTagger
from riveg.nn.word_pieces import WordPieceWindows
from riveg.training.tagger.data import MentionSwapper
from riveg.training.tagger.trainee import TAGS, TaggerTrainee


def tiny_learner(base: BertModel, names: Sequence[str], **changes: Any) -> TaggerTrainee:
    """A trainee of two tasks with the same classes, always with the same first weights.

    Args:
        base: The encoder.
        names: The classes.
        changes: Of the trainee's settings.
    """

    def start() -> ShapeTagger:
        torch.manual_seed(1)
        return ShapeTagger(base, len(names), {"other": len(names)}, 0.0)

    plain: dict[str, Any] = {
        "start": start,
        "sentences": [],
        "dev": [],
        "classes": {TAGS: names, "other": names},
        "windows": WordPieceWindows(tiny_tokenizer("bert"), max_pieces=40),
        "swapper": MentionSwapper([], rate=0.0),
        "mask_rate": 0.0,
        "mask_id": 0,
        "label_smoothing": 0.0,
        "fine_weight": 1.0,
    }
    return TaggerTrainee(**{**plain, **changes})
