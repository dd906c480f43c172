"""Model folders that somebody else has made: what is odd in them is one line."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.tiny_siglip import save_siglip

from riveg.checkpoints.folders import model_contents, require_own_files
from riveg.errors import UserError
from riveg.files import asset
from riveg.nn.entailment_classifier import read_classifier
from riveg.stages.taggers.mini import MiniTagger

ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**400, 1e400, float("nan"), "", "../x", [], {}, [[]], {"a": [1]}),
    "\ud800",
)


def mutants(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values below a value; of texts by name and of long lists, the first."""
    yield path
    items: Any = ()
    if isinstance(value, dict):
        items = [*value.items()][:12]
    elif isinstance(value, list):
        items = [*enumerate(value)][:2]
    for key, inner in items:
        yield from mutants(inner, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


def lines_of(call: Callable[[], Any]) -> list[str]:
    """The lines of the error of a call; ``[]`` where it has none."""
    try:
        call()
    except UserError as error:
        return str(error).splitlines()
    return []


def tagger(folder: Path) -> Path:
    shutil.copytree(asset("tagger"), folder, dirs_exist_ok=True)
    return folder


@pytest.mark.parametrize(
    "settings",
    [
        "[" * 100_000,
        "{}",
        '{"tags": [], "max_pieces": 128, "calibration": {"slope": 1, "intercept": 0}}',
        '{"tags": ["O", "B-PER"], "max_pieces": 128, "calibration": {"slope": 1, "intercept": 0}}',
        '{"tags": ["O"], "max_pieces": 2, "calibration": {"slope": 1, "intercept": 0}}',
        '{"tags": ["O"], "max_pieces": 9e99, "calibration": {"slope": 1, "intercept": 0}}',
        '{"tags": ["O"], "max_pieces": 99, "calibration": {"slope": 1e999, "intercept": 0}}',
    ],
)
def test_settings_of_a_tagger(tmp_path: Path, settings: str) -> None:
    (tagger(tmp_path) / "tagger.json").write_text(settings)
    (line,) = lines_of(lambda: MiniTagger(tmp_path))
    assert str(tmp_path) in line


@pytest.mark.parametrize("content", ["", "{}", "[" * 5000, '{"model": 5}'])
def test_a_tokenizer_of_another_form(tmp_path: Path, content: str) -> None:
    (tagger(tmp_path) / "tokenizer.json").write_text(content)
    (line,) = lines_of(lambda: MiniTagger(tmp_path))
    assert "tokenizer.json: is no tokenizer" in line


def test_a_network_of_something_else(tmp_path: Path) -> None:
    shutil.copy(asset("vision", "mediapipe-selfie-256-fp16w.onnx"), tagger(tmp_path) / "model.onnx")
    (line,) = lines_of(lambda: MiniTagger(tmp_path))
    assert "expected attention_mask, input_ids, shape_ids" in line


def test_every_value_of_an_entailment_model(tmp_path: Path) -> None:
    values = json.loads(asset("entailer", "captionless.json").read_text())
    values["weights"] = dict([*values["weights"].items()][:2])
    for part in ("mentions", "words"):
        values["fame"][part] = dict([*values["fame"][part].items()][:3])
    path = tmp_path / "model.json"
    refused = 0
    for number, place in enumerate(mutants(values)):
        path.write_text(json.dumps(changed(values, place, ODD[number % len(ODD)])))
        found = lines_of(lambda: read_classifier(path))
        assert len(found) <= 1, (place, found)
        refused += len(found)
    assert refused > 20


@pytest.mark.parametrize("found", [99, "1", True, None])
def test_an_entailment_model_of_another_format(tmp_path: Path, found: object) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"format": found}))
    with pytest.raises(UserError, match=r"of format .*, this riveg reads 1"):
        read_classifier(tmp_path / "a.json")


@pytest.mark.parametrize("shard", ["../other.safetensors", "/etc/passwd", "a\\b", "", 5])
def test_weights_lie_beside_their_index(tmp_path: Path, shard: object) -> None:
    index = {"metadata": {}, "weight_map": {"a": "model-1.safetensors", "b": shard}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="is no index of weights: weight_map") as error:
        require_own_files(tmp_path)
    assert "\n" not in str(error.value)


def test_a_pipe_in_a_model_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(UserError, match=r"config\.json: cannot be read"):
        require_own_files(tmp_path)
    with pytest.raises(UserError, match=r"config\.json: cannot be read"):
        model_contents(tmp_path)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"vision_config": {"num_hidden_layers": 10**9}}, "num_hidden_layers"),
        ({"depths": [2, 2, 10**6]}, "depths"),
        ({"text_config": {"vocab_size": 2**31}}, "vocab_size"),
        ({"image_size": [224, 10**9]}, "image_size"),
    ],
)
def test_a_network_that_no_machine_could_make(
    tmp_path: Path, values: dict[str, Any], named: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=rf"config\.json: '{named}': expected at most"):
        require_own_files(tmp_path)


@pytest.mark.parametrize("side", ["height", "shortest_edge", "longest_edge"])
def test_pictures_that_no_machine_could_make(tmp_path: Path, side: str) -> None:
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({"size": {side: 4096}}))
    require_own_files(tmp_path)
    path.write_text(json.dumps({"size": {side: 10_000}}))
    with pytest.raises(UserError, match=rf"'{side}': expected at most 4096, found 10000"):
        require_own_files(tmp_path)


@pytest.mark.parametrize("key", [None, "image_processor"])
def test_edges_of_qwens_pictures_are_areas(tmp_path: Path, key: str | None) -> None:
    """The published settings of Qwen3-VL name 16 777 216 pixels."""
    path = tmp_path / "preprocessor_config.json"
    for area, fits in ((16_777_216, True), (10**9, False)):
        values: dict[str, Any] = {
            "image_processor_type": "Qwen2VLImageProcessorFast",
            "size": {"shortest_edge": 65_536, "longest_edge": area},
        }
        path.write_text(json.dumps(values if key is None else {key: values}))
        if fits:
            require_own_files(tmp_path)
            continue
        with pytest.raises(UserError, match="'size in pixels': expected at most 16777216"):
            require_own_files(tmp_path)


def test_a_tokenizer_without_words(tmp_path: Path) -> None:
    path = tagger(tmp_path) / "tokenizer.json"
    values = json.loads(path.read_text())
    values["model"]["vocab"] = {}
    path.write_text(json.dumps(values))
    (line,) = lines_of(lambda: MiniTagger(tmp_path))
    assert "tokenizer.json: is no tokenizer" in line


@pytest.mark.slow
def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    from riveg.vision.matchers.siglip import load_siglip_matcher
    from riveg.vision.runtime.options import TorchOptions

    path = save_siglip(tmp_path) / "model.safetensors"
    weights = load_file(path)
    next(iter(weights.values())).view(-1)[0] = torch.nan
    save_file(weights, path, {"format": "pt"})
    options = TorchOptions(model=str(tmp_path), device="cpu")
    with pytest.raises(UserError, match=r": holds weights that are no numbers, in \w"):
        load_siglip_matcher(tmp_path, options)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer.json"])
def test_odd_values_in_a_model_of_transformers(tmp_path: Path, name: str) -> None:
    from riveg.vision.matchers.siglip import load_siglip_matcher
    from riveg.vision.runtime.options import TorchOptions

    save_siglip(tmp_path)
    options = TorchOptions(model=str(tmp_path), device="cpu")
    values = json.loads((tmp_path / name).read_text())
    chance = random.Random(name)
    for place in chance.sample([*mutants(values)], 12):
        odd = chance.choice(ODD)
        (tmp_path / name).write_text(json.dumps(changed(values, place, odd)))
        found = lines_of(lambda: load_siglip_matcher(tmp_path, options))
        assert len(found) <= 1, (place, odd, found)
