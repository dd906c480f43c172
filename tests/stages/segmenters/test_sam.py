"""What is particular to ``sam``; the rest is in ``test_box_prompted.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.box_mentions import masks_of
from helpers.tiny_sam import save_sam
from PIL import Image
from transformers import SamImageProcessorPil

from riveg.config.backend import BuildContext
from riveg.errors import UserError
from riveg.images.headers import ImageLimits
from riveg.images.loader import ImageLoader
from riveg.stages.segmenters.sam import SamConfig
from riveg.types import Box

pytestmark = pytest.mark.slow  # torch and its models, loaded and run


def test_a_side_that_shrinks_to_nothing_stays_a_pixel(tmp_path: Path) -> None:
    folder = save_sam(tmp_path / "sam")
    Image.new("RGB", (2, 1000), "red").save(tmp_path / "thread.png")
    images = ImageLoader([tmp_path], limits=ImageLimits(min_side=1))
    backend = SamConfig(model=str(folder), device="cpu").build(BuildContext(images))
    (mask,) = masks_of(backend, "thread.png", Box(0, 100, 2, 900))
    assert (mask.height, mask.width) == (1000, 2)
    processor = SamImageProcessorPil.from_pretrained(folder)
    with pytest.raises(ValueError, match="width=0"):
        processor(Image.fromarray(np.zeros((1000, 2, 3), dtype=np.uint8)), return_tensors="pt")


def test_another_model_is_refused(tmp_path: Path) -> None:
    config = SamConfig(model=str(tmp_path), device="cpu")
    with pytest.raises(UserError, match="cannot be loaded as SamModel"):
        config.build(BuildContext(ImageLoader([tmp_path])))
