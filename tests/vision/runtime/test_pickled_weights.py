"""``pytorch_model.bin`` where there are no safetensors: tensors are read, nothing is run."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "riveg[models]"')

from helpers.tiny_siglip import save_siglip

from riveg.checkpoints.folders import has_only_pickles, model_contents
from riveg.errors import UserError
from riveg.vision.runtime.loading import load_model
from riveg.vision.runtime.options import TorchOptions
from riveg.vision.runtime.pickled_weights import read_pickled_weights

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_siglip(folder)
    return folder


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """The same model as a pickle only."""
    import torch
    from safetensors.torch import load_file

    for path in published.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    torch.save(load_file(published / "model.safetensors"), tmp_path / "pytorch_model.bin")
    return tmp_path


def load(folder: Path) -> Any:
    from transformers import SiglipModel

    return load_model(SiglipModel, folder, TorchOptions(model=str(folder), device="cpu"))


def test_it_is_the_same_network(published: Path, folder: Path) -> None:
    import torch

    assert has_only_pickles(folder)
    assert not has_only_pickles(published)
    expected, found = load(published).state_dict(), load(folder).state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_weights_may_lie_in_several_files(published: Path, folder: Path) -> None:
    import torch

    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    names = sorted(weights)
    placed = {name: f"pytorch_model-0000{1 + at % 2}-of-00002.bin" for at, name in enumerate(names)}
    for file in {*placed.values()}:
        torch.save({name: weights[name] for name in names if placed[name] == file}, folder / file)
    (folder / "pytorch_model.bin").unlink()
    index = folder / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": placed}))
    assert read_pickled_weights(folder).keys() == weights.keys()
    assert torch.equal(load(folder).logit_scale, load(published).logit_scale)
    index.write_text(json.dumps({"weight_map": {"a": "../../other.bin"}}))
    with pytest.raises(UserError, match=r"index\.json: is no index"):
        load(folder)


def test_safetensors_are_preferred(folder: Path, published: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"no pickle at all")
    weights = (published / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights)
    load(folder)
    assert "pytorch_model.bin" not in model_contents(folder)


def test_the_pickle_is_part_of_the_fingerprint(folder: Path) -> None:
    before = model_contents(folder)
    assert "pytorch_model.bin" in before
    (folder / "pytorch_model.bin").write_bytes(b"other")
    assert model_contents(folder) != before


class Code:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.place),)


def _saved(value: object, path: Path) -> None:
    import torch

    torch.save(value, path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda ran, path: _saved({"a": Code(ran)}, path), "is no file of weights: it is damaged"),
        (lambda ran, path: _saved(Code(ran), path), "is no file of weights: it is damaged"),
        (lambda ran, path: path.write_bytes(pickle.dumps(Code(ran))), "holds more than weights"),
        (lambda ran, path: path.write_bytes(pickle.dumps({"a": Code(ran)}, 2)), "holds more than"),
        (lambda _, path: _saved([1, 2], path), "expected tensors by name, found list"),
        (lambda _, path: _saved({"a": {"b": 1}}, path), "found dict as 'a'"),
        (lambda _, path: _saved({5: 1.0}, path), "found float as 5"),
        (lambda _, path: path.write_bytes(b""), "is no file of weights"),
        (lambda _, path: path.write_bytes(path.read_bytes()[:500]), "is no file of weights"),
        (lambda _, path: _saved({}, path), "lacks [0-9]+ weights of a SiglipModel"),
    ],
)
def test_what_is_no_tensors_is_refused_in_one_line_and_never_run(
    folder: Path, write: Callable[[Path, Path], object], message: str
) -> None:
    ran = folder / "ran"
    write(ran, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=message) as refused:
        load(folder)
    assert len(str(refused.value).splitlines()) == 1
    assert str(folder) in str(refused.value)
    assert not ran.exists()
