from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest
from helpers.command_line import riveg
from helpers.hub_cache import put_in_cache
from helpers.tiny_adapter import make_tiny_adapter

from riveg.checkpoints.adapters import adapter_of, shaping
from riveg.checkpoints.fetching import system_models
from riveg.config.reader import load_config
from riveg.config.yaml_file import InvalidConfig
from riveg.errors import MissingModel, UserError
from riveg.llm.conversation import Message, Request
from riveg.llm.endpoint import Endpoint
from riveg.llm.request import request_body, request_key

WIDTH = 128
TEXT = Request((Message("user", "Who?"),), lambda response: response.text)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return model_of(tmp_path / "model", WIDTH)


def model_of(folder: Path, width: int) -> Path:
    """The settings of a model, without its weights."""
    folder.mkdir()
    sizes = {
        "hidden_size": width,
        "num_attention_heads": 2,
        "head_dim": 64,
        "num_hidden_layers": 1,
    }
    (folder / "config.json").write_text(json.dumps(sizes))
    return folder


def endpoint(model: Path | str, adapter: Path | str) -> Endpoint:
    return Endpoint(model=str(model), adapter=str(adapter), engine="vllm-offline")


@pytest.mark.parametrize(
    ("rank", "pattern", "room"), [(4, None, 8), (32, {}, 32), (8, {"o_proj": 33}, 64)]
)
def test_there_is_room_for_the_largest_rank(
    tmp_path: Path, model: Path, rank: int, pattern: dict[str, int] | None, room: int
) -> None:
    folder = make_tiny_adapter(tmp_path / "a", model, rank=rank, rank_pattern=pattern)
    found = adapter_of(endpoint(model, folder))
    assert found is not None
    assert (found.room, found.folder) == (room, folder)


def test_another_adapter_means_other_answers_and_another_place_does_not(
    tmp_path: Path, model: Path
) -> None:
    first = make_tiny_adapter(tmp_path / "a", model)
    same = make_tiny_adapter(tmp_path / "b", model)
    other = make_tiny_adapter(tmp_path / "c", model, seed=1)
    scaled = make_tiny_adapter(tmp_path / "d", model, lora_alpha=1)
    ways = [endpoint(model, one) for one in (first, same, other, scaled)]
    keys = [request_key(way, TEXT, {}) for way in ways]
    bare = Endpoint(model=str(model), engine="vllm-offline")
    assert keys[0] == keys[1]
    assert len({*keys, request_key(bare, TEXT, {})}) == 4
    assert "adapter" not in shaping(bare)
    before = (first / "adapter_model.safetensors").stat()
    make_tiny_adapter(first, model, seed=2)
    os.utime(first / "adapter_model.safetensors", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert request_key(ways[0], TEXT, {}) not in keys, "the same folder, trained further"


def test_a_request_names_the_adapter(tmp_path: Path, model: Path) -> None:
    way = endpoint(model, make_tiny_adapter(tmp_path / "a", model))
    assert request_body(way, TEXT, TEXT.messages, {})["model"] == "adapter"
    assert way.shown == f"{model} with {tmp_path / 'a'}"


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("adapter_config.json", None, "expected a file adapter_config.json in it"),
        ("adapter_model.safetensors", None, "expected a file adapter_model.safetensors in it"),
        ("adapter_config.json", b"{", "cannot be read"),
        ("adapter_config.json", b"[]", "describes no LoRA adapter"),
        ("adapter_config.json", b'{"peft_type": "IA3", "r": 4}', "describes no LoRA adapter"),
        ("adapter_config.json", b'{"peft_type": "LORA", "r": 600}', "less than or equal to 512"),
        ("adapter_model.safetensors", b"", "no file of safetensors"),
        ("adapter_model.safetensors", b"\xff" * 8, "no file of safetensors"),
        ("adapter_model.safetensors", b"\x04" + b"\0" * 7 + b"[1,2", "cannot be read"),
    ],
)
def test_a_damaged_adapter_is_one_line(
    tmp_path: Path, model: Path, file: str, content: bytes | None, message: str
) -> None:
    folder = make_tiny_adapter(tmp_path / "a", model)
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        adapter_of(endpoint(model, folder))
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_weights_that_are_cut_off_are_told(tmp_path: Path, model: Path) -> None:
    folder = make_tiny_adapter(tmp_path / "a", model)
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(UserError, match=r"has \d+ bytes of weights instead of \d+\)"):
        adapter_of(endpoint(model, folder))


def test_an_adapter_of_another_width_is_refused(tmp_path: Path, model: Path) -> None:
    large = model_of(tmp_path / "large", 256)
    folder = make_tiny_adapter(tmp_path / "a", large)
    with pytest.raises(UserError, match=r"width 256 \(\S+large\), and \S+model has 128"):
        adapter_of(endpoint(model, folder))


def test_weights_of_a_vision_tower_have_a_width_of_their_own(tmp_path: Path, model: Path) -> None:
    folder = make_tiny_adapter(tmp_path / "a", model)
    weights = folder / "adapter_model.safetensors"
    size = struct.unpack("<Q", weights.read_bytes()[:8])[0]
    header = json.loads(weights.read_bytes()[8 : 8 + size])
    tower = {"base_model.model.visual.blocks.0.mlp.gate_proj.lora_A.weight": {"shape": [4, 32]}}
    odd = {"base_model.model.x.q_proj.lora_A.weight": {"shape": [4, None]}}
    told = json.dumps({**tower, **odd, **header}).encode()
    weights.write_bytes(struct.pack("<Q", len(told)) + told + weights.read_bytes()[8 + size :])
    assert adapter_of(endpoint(model, folder)) is not None


@pytest.mark.parametrize(
    ("base", "name", "fits"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct", True),
        ("unsloth/qwen2.5-vl-7b-instruct-bnb-4bit", "Qwen/Qwen2.5-VL-7B-Instruct", True),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct-AWQ", True),
        ("/home/ann/models/best", "Qwen/Qwen2.5-VL-7B-Instruct", True),
        (None, "Qwen/Qwen2.5-VL-7B-Instruct", True),
        ("Qwen/Qwen2.5-VL-3B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct", False),
        ("meta-llama/Llama-3.1-8B", "Qwen/Qwen3-8B", False),
    ],
)
def test_an_adapter_for_a_model_of_another_name_is_refused(
    tmp_path: Path, model: Path, base: str | None, name: str, fits: bool
) -> None:
    folder = make_tiny_adapter(tmp_path / "a", model, base_model_name_or_path=base)
    if fits:
        assert adapter_of(endpoint(name, folder)) is not None
        return
    with pytest.raises(UserError, match=f"is an adapter for {base}, and the model is {name}"):
        adapter_of(endpoint(name, folder))


def system(folder: Path, model: Path, adapter: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(
        f"llm:\n  main: {{model: '{model}', adapter: '{adapter}', serve: vllm}}\n"
        "tag: {backend: mini}\nrewrite: {backend: chat, llm: main}\n"
    )
    return path


@pytest.mark.slow
def test_validate_dry_run_and_models_tell_of_it(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = make_tiny_adapter(tmp_path / "a", model)
    good = system(tmp_path, model, str(folder))
    assert riveg("validate", good).returncode == 0
    out = tmp_path / "run"
    dry = riveg("run", good, "--data", "quickstart", "--out", out, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert f"main: {model} with {folder}" in dry.stdout
    found = [one for one in system_models(load_config(good)) if one.setting == "adapter"]
    assert [(one.used_by, one.folder) for one in found] == [("llm.main", folder)]


@pytest.mark.slow
def test_one_that_is_not_here_stops_before_anything_starts(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    path = system(tmp_path, model, "org/absent")
    told = riveg("validate", path)
    assert told.returncode == 0
    assert "models are not here of llm.main: riveg fetch" in told.stdout
    with pytest.raises(MissingModel, match="adapter org/absent"):
        adapter_of(load_config(path).llm["main"])
    out = tmp_path / "run"
    ran = riveg("run", path, "--data", "quickstart", "--out", out)
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-1].startswith("riveg: adapter org/absent")
    assert not out.exists()
    other = system(tmp_path, model, str(make_tiny_adapter(tmp_path / "a", model, peft_type="X")))
    told = riveg("validate", other)
    assert told.returncode == 2
    assert "llm.main: " in told.stderr
    assert "describes no LoRA adapter" in told.stderr


@pytest.mark.slow
def test_one_that_was_fetched_is_found_by_its_id(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    put_in_cache(tmp_path / "home", "org/lora", lambda to: make_tiny_adapter(to, model))
    path = system(tmp_path, model, "org/lora")
    told = riveg("validate", path)
    assert told.returncode == 0, told.stderr
    assert "not here" not in told.stdout
    shown = riveg("show", "models", path)
    assert "org/lora adapter_model.safetensors" in " ".join(shown.stdout.split())


@pytest.mark.parametrize(
    ("reached", "message"),
    [
        ("serve: transformers", "transformers serve takes no adapter"),
        ("base_urls: ['http://127.0.0.1:8000/v1']", "on a server of yours"),
    ],
)
def test_where_it_cannot_be_loaded_is_said(tmp_path: Path, reached: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"llm:\n  main: {{model: m, adapter: a, {reached}}}\n"
        "tag: {backend: mini}\nrewrite: {backend: chat, llm: main}\n"
    )
    with pytest.raises(InvalidConfig, match=message):
        load_config(path)
