"""torchvision 0.28.0 beside a torch without CUDA: the operator that its broken library lacks.

For tests that start a process of their own. The folder with torchvision
(``pip install --no-deps --target FOLDER torchvision==0.28.0``) is named by the environment variable
``RIVEG_TORCHVISION``; without it such tests are skipped. It must stay out of the tests' own
process: transformers looks different to everybody where torchvision can be imported.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from helpers.places import ROOT

FOLDER = os.environ.get("RIVEG_TORCHVISION", "")

needs_torchvision = pytest.mark.skipif(
    not FOLDER, reason="RIVEG_TORCHVISION names no folder with torchvision"
)


def run_with_torchvision(script: str, *arguments: object) -> str:
    """What a Python script prints where torchvision can be imported."""
    path = os.pathsep.join((FOLDER, str(ROOT), str(ROOT / "tests")))
    done = subprocess.run(
        [sys.executable, "-c", f"{_SHIM}\n{script}", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


_SHIM = """
import torch
library = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import torchvision.ops.boxes
torchvision.ops.boxes._assert_has_ops = lambda: None
"""
