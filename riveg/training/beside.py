"""What stands beside weights: the files of a base model that its own trained ones still need."""

from __future__ import annotations

import shutil
from pathlib import Path

_BESIDE = ("*.json", "*.txt", "*.model", "*.jinja")
"""The tokenizer, the chat template, the processor's settings."""

_OF_WEIGHTS = ("config.json", "generation_config.json")


def copy_beside(base: Path, out: Path) -> None:
    """Copies what is neither weights nor describes them.

    Args:
        base: The model's folder.
        out: The folder of the trained weights.
    """
    for path in sorted({one for pattern in _BESIDE for one in base.glob(pattern)}):
        if path.name not in _OF_WEIGHTS and not path.name.endswith(".index.json"):
            shutil.copyfile(path, out / path.name)
