"""A tiny entailer to train: ``python tiny_itm_training.py MODEL DATA OUT`` begins it anew."""

import sys
from pathlib import Path
from typing import Any

from helpers.training import trained
from riveg.training.entailer_itm.config import EntailerItmTrainingConfig

LOOP = {
    "epochs": 3,
    "batch_size": 4,
    "accumulate": 2,
    "learning_rate": 3e-3,
    "precision": "bf16",
    "average_decay": 0.5,
    "save_steps": 1,
    "device": "cpu",
    "threads": 1,
}


def settings(model: Path, data: Path, out: Path, **more: Any) -> EntailerItmTrainingConfig:
    """From a tiny model on drawn posts, with GEM's template."""
    values = {
        "data": str(data),
        "model": str(model),
        "out": out,
        "query": "{mention} is belong {label}",
        "loop": LOOP,
        **more,
    }
    return EntailerItmTrainingConfig.model_validate(values)


if __name__ == "__main__":
    trained(settings(*map(Path, sys.argv[1:])))
