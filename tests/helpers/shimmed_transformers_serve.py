"""``transformers serve`` for vision-language models where torchvision has no library of its own.

    python shimmed_transformers_serve.py TORCHVISION_FOLDER serve MODEL ...

The library's processors of Qwen-VL ask for torchvision, which has no build for this torch: two of
its operators stand in, and Pillow decodes images. All else is the library's own server.
"""

from __future__ import annotations

import io
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

if __name__ == "__main__":
    sys.path.append(sys.argv.pop(1))
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    vision = import_module("torchvision.io"), import_module("torchvision.ops.boxes")

    def decode_image(data: Any, mode: object = None) -> torch.Tensor:
        raw = bytes(data.numpy()) if isinstance(data, torch.Tensor) else Path(data).read_bytes()
        pixels = np.array(Image.open(io.BytesIO(raw)).convert("RGB"))
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()

    vision[0].__dict__["decode_image"] = decode_image
    vision[1].__dict__["_assert_has_ops"] = lambda: None
    import_module("transformers.cli.transformers").main()
