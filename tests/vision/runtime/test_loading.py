from __future__ import annotations

import json
import os
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from helpers.tiny_siglip import save_siglip

from riveg.errors import UserError
from riveg.vision.matchers.siglip import load_siglip_matcher
from riveg.vision.runtime.checkpoint_files import read_checkpoint
from riveg.vision.runtime.loading import load_model, load_processor
from riveg.vision.runtime.options import TorchOptions
from riveg.vision.runtime.square_images import read_preparation

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_siglip(tmp_path)
    return tmp_path


def options(folder: Path, **fields: Any) -> TorchOptions:
    return TorchOptions(model=str(folder), device="cpu", **fields)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_weights_that_were_cut_off(folder: Path, share: float) -> None:
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match="cannot be loaded as Siglip"):
        load_siglip_matcher(folder, options(folder))


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "5"])
def test_files_with_something_else(folder: Path, name: str, content: str) -> None:
    assert (folder / name).exists()
    (folder / name).write_text(content)
    with suppress(UserError):  # some of it has its usual values
        load_siglip_matcher(folder, options(folder))


@pytest.mark.parametrize(
    "content",
    ["", "[]", "5", '{"image_processor": 5}', '{"image_mean": 5}']
    + [f'{{"image_mean": [0, 0, 0], {more}}}' for more in ('"size": 5', '"resample": [2]')],
)
def test_a_preparation_of_another_form(tmp_path: Path, content: str) -> None:
    (tmp_path / "processor_config.json").write_text(content)
    with pytest.raises(UserError, match=str(tmp_path)):
        read_preparation(tmp_path)


def test_attention_that_is_not_installed(folder: Path) -> None:
    import transformers
    from transformers.utils import is_flash_attn_2_available

    if is_flash_attn_2_available():
        pytest.skip("flash-attn is here")
    with pytest.raises(UserError, match="FlashAttention2"):
        load_model(transformers.SiglipModel, folder, options(folder, attention="flash_attention_2"))


def test_code_of_a_processor_is_not_run(folder: Path) -> None:
    import transformers

    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["auto_map"] = {"AutoTokenizer": ["code.Own", "code.Own"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "code.py").write_text(f"open({str(folder / 'ran')!r}, 'w')")
    load_processor(transformers.AutoTokenizer, folder)
    assert not (folder / "ran").exists()


class Code:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("protocol", [2, 4, None])
def test_a_checkpoint_with_code(tmp_path: Path, protocol: int | None) -> None:
    import torch

    path = tmp_path / "net.pth"
    if protocol is None:
        torch.save({"model": Code(tmp_path / "ran")}, path)
    else:
        path.write_bytes(pickle.dumps(Code(tmp_path / "ran"), protocol=protocol))
    with pytest.raises(UserError, match="is no checkpoint: it is damaged") as refused:
        read_checkpoint(path, "checkpoint")
    assert "weights_only" not in str(refused.value), "advice to run it"
    assert not (tmp_path / "ran").exists()
