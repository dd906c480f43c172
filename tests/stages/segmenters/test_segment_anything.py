from __future__ import annotations

from pathlib import Path

import pytest
from helpers.torchvision_on_cpu import needs_torchvision, run_with_torchvision
from pydantic import ValidationError

from riveg.errors import UserError
from riveg.stages.segmenters.segment_anything import SegmentAnythingConfig


@pytest.mark.slow
@needs_torchvision
def test_the_package_itself(tmp_path: Path) -> None:
    """Everything in ``segment_anything_cases.py``: the package imports torchvision."""
    script = "import sys, pathlib\nfrom helpers import segment_anything_cases as cases\n"
    run_with_torchvision(script + "cases.check_all(pathlib.Path(sys.argv[1]))", tmp_path)


def test_a_checkpoint_that_is_not_there_is_told_with_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"\(checkpoints/sam_vit_h_4b8939\.pth\): .*riveg fetch"):
        SegmentAnythingConfig().contents(tmp_path)
    with pytest.raises(UserError, match=r"expected a file checkpoints/sam_vit_h_4b8939\.pth in it"):
        SegmentAnythingConfig(model=".").contents(tmp_path)


@pytest.mark.parametrize("model", ["a.pth", "."])
def test_contents_is_the_checkpoint(tmp_path: Path, model: str) -> None:
    (tmp_path / "a.pth").write_bytes(b"weights")
    config = SegmentAnythingConfig(model=model, checkpoint="a.pth")
    assert [*config.contents(tmp_path)] == ["a.pth"]


def test_the_package_has_one_attention() -> None:
    with pytest.raises(ValidationError, match="attention"):
        SegmentAnythingConfig.model_validate({"attention": "sdpa"})
