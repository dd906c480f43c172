from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from torchvision_on_cpu import needs_torchvision, run_with_torchvision

from riveg.errors import UserError
from riveg.stages.segmenters.segment_anything import SegmentAnythingConfig


@pytest.mark.slow
@needs_torchvision
def test_the_package_itself(tmp_path: Path) -> None:
    """Everything in ``segment_anything_cases.py``: the package imports torchvision."""
    script = "import sys, pathlib, segment_anything_cases as cases\n"
    run_with_torchvision(script + "cases.check_all(pathlib.Path(sys.argv[1]))", tmp_path)


def test_a_checkpoint_that_is_not_there_is_told_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such file; the official checkpoints lie at https://"):
        SegmentAnythingConfig().contents(tmp_path)


def test_contents_is_the_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"weights")
    assert [*SegmentAnythingConfig(model="a.pth").contents(tmp_path)] == ["a.pth"]


def test_the_package_has_one_attention() -> None:
    with pytest.raises(ValidationError, match="attention"):
        SegmentAnythingConfig.model_validate({"attention": "sdpa"})
