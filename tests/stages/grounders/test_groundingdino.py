from __future__ import annotations

from pathlib import Path

import pytest
from helpers.torchvision_on_cpu import needs_torchvision, run_with_torchvision
from pydantic import ValidationError

from riveg.errors import UserError
from riveg.stages.grounders.groundingdino import GroundingDinoPackageConfig
from riveg.vision.detectors.groundingdino_configuration import (
    configuration_file,
    read_configuration,
)


@pytest.mark.slow
@needs_torchvision
def test_the_package_itself(tmp_path: Path) -> None:
    """Everything in ``groundingdino_cases.py``: the package imports torchvision."""
    script = "import sys, pathlib\nfrom helpers import groundingdino_cases as cases\n"
    run_with_torchvision(script + "cases.check_all(pathlib.Path(sys.argv[1]))", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import os\n", r"line 1: expected name = value"),
        ("a = 1\nb = print('run')\n", "line 2: expected a number, a text"),
        ("a = b = 1\n", "line 1: expected name = value"),
        ("a = [\n", "cannot be read as a configuration"),
    ],
)
def test_a_configuration_is_read_and_never_run(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "sizes.py").write_text(text)
    with pytest.raises(UserError, match=message):
        read_configuration(tmp_path / "sizes.py")
    (tmp_path / "sizes.py").write_text(
        "# a comment\nlevels = [1, 2, 3]\nname = 'a'\nshare = -0.5\n"
    )
    found = read_configuration(tmp_path / "sizes.py")
    assert found == {"levels": [1, 2, 3], "name": "a", "share": -0.5}


def test_an_architecture_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="swin-l: expected swin-t, swin-b or a file"):
        configuration_file("swin-l", tmp_path)


def test_what_is_not_there_is_told_with_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    message = r"model ShilongLiu/GroundingDINO \(groundingdino_swint_ogc\.pth\): .*riveg fetch"
    with pytest.raises(UserError, match=message):
        GroundingDinoPackageConfig().contents(tmp_path)
    (tmp_path / "a.pth").write_bytes(b"weights")
    (tmp_path / "bert").mkdir()
    with pytest.raises(UserError, match=r"bert: expected a file config\.json in it \(text_encoder"):
        GroundingDinoPackageConfig(model="a.pth", text_encoder="bert").contents(tmp_path)


def test_contents_are_the_files_that_shape_answers(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "bert").mkdir()
    files = ("models/a.pth", "bert/config.json", "bert/vocab.txt", "bert/other.json", "own.py")
    for name in files:
        (tmp_path / name).write_text(name)
    config = GroundingDinoPackageConfig(
        model="models", checkpoint="a.pth", text_encoder="bert", architecture="own.py"
    )
    assert [*config.contents(tmp_path)] == [
        "a.pth",
        "text_encoder/config.json",
        "text_encoder/vocab.txt",
        "architecture",
    ]


def test_the_package_has_one_attention() -> None:
    with pytest.raises(ValidationError, match="attention"):
        GroundingDinoPackageConfig.model_validate({"attention": "sdpa"})
