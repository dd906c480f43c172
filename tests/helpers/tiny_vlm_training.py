"""``riveg train vlm`` on drawn posts: ``python tiny_vlm_training.py MODEL DATA OUT`` trains."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from helpers.drawn_posts import LABELS
from helpers.training import trained
from riveg.training.vlm.config import VlmTrainingConfig

LOOP = {
    "epochs": 3,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "schedule": "cosine",
    "warmup": 0.03,
    "save_steps": 1,
    "device": "cpu",
    "threads": 1,
}
RESIZE = {"multiple": 28, "min_pixels": 784, "max_pixels": 25088}
ASK = {"prompt": "extract/e2e-gmner.v1", "frame": "pixels-sent", "resize": RESIZE, "max_tokens": 96}


def settings(model: Path, data: Path, out: Path, **more: Any) -> VlmTrainingConfig:
    """Of a training that takes seconds."""
    values = {
        **{"model": str(model), "data": str(data), "out": out, "labels": list(LABELS)},
        **{"picture_side": 140, "extract": ASK, "loop": LOOP, "dev_batch_size": 8},
        **{"jitter": {"beta": 0.03, "gamma": 0.03}, "gradient_checkpointing": False},
        **more,
    }
    return VlmTrainingConfig.model_validate(values)


if __name__ == "__main__":
    trained(settings(*map(Path, sys.argv[1:4])))
