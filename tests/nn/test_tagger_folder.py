"""Taggers' folders that somebody else has made: what is odd in them is one line, and soon."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "riveg[models]"')

import torch
from helpers.tiny_taggers import save_encoder
from safetensors.torch import load_file, save_file

from riveg.errors import UserError
from riveg.nn.encoders import load_encoder, load_fast_tokenizer
from riveg.nn.own_weights import WEIGHTS
from riveg.nn.sequence_tagger import SequenceTagger
from riveg.nn.tagger_design import TaggerDesign, TaggerSettings, read_settings, write_settings
from riveg.nn.tagger_folder import read_network, read_windows, write_network

TAGS = ("O", "B-PER", "I-PER")
FINE_TAGS = ("O", "B-actor", "I-actor")

pytestmark = pytest.mark.slow  # loads encoders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tagger of two levels."""
    design = TaggerDesign(tags=TAGS, fine_tags=FINE_TAGS)
    encoder = load_encoder(save_encoder(tmp_path / "encoder", "bert"))
    made = tmp_path / "tagger"
    made.mkdir()
    write_network(made, SequenceTagger(encoder, design), load_fast_tokenizer(tmp_path / "encoder"))
    settings = TaggerSettings(design=design, coarse_of={"actor": "PER"}, max_pieces=40)
    write_settings(made, settings)
    return made


def load(folder: Path) -> None:
    settings = read_settings(folder)
    network = read_network(folder, settings)
    read_windows(folder, settings, network.encoder)


def change(path: Path, change_values: Callable[[Any], object]) -> None:
    values = json.loads(path.read_text())
    change_values(values)
    path.write_text(json.dumps(values))


def error_of(folder: Path) -> str:
    with pytest.raises(UserError) as error:
        load(folder)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_a_whole_one_is_loaded(folder: Path) -> None:
    load(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_hidden_layers", 10**9),
        ("vocab_size", 10**9),
        ("max_position_embeddings", 10**9),
        ("hidden_size", 10**9),
    ],
)
def test_a_network_that_no_machine_could_make(folder: Path, key: str, value: int) -> None:
    change(folder / "config.json", lambda values: values.update({key: value}))
    assert f"config.json: '{key}': expected at most" in error_of(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_hidden_layers", 900),
        ("vocab_size", 1 << 24),
        ("hidden_size", 1 << 22),
        ("intermediate_size", 1 << 24),
        ("model_type", "gpt2"),
    ],
)
def test_a_network_is_as_large_as_its_weights(folder: Path, key: str, value: object) -> None:
    """None of them is made: they are terabytes."""
    change(folder / "config.json", lambda values: values.update({key: value}))
    assert "holds not the weights that" in error_of(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(folder: Path, value: float) -> None:
    weights = load_file(folder / WEIGHTS)
    weights["head.bias"][1] = torch.tensor(value)
    save_file(weights, folder / WEIGHTS)
    assert "holds weights that are no numbers" in error_of(folder)


def test_pieces_that_the_encoder_does_not_know(folder: Path) -> None:
    def behind(values: Any) -> None:
        values["post_processor"]["cls"] = ["[CLS]", 4000]

    change(folder / "tokenizer.json", behind)
    assert "tokenizer.json: has the piece 4000, the encoder knows" in error_of(folder)


@pytest.mark.parametrize(
    "tags", [["B-PER", "I-PER"], ["O", "B-PER", "B-PER"], ["O", ""], ["O", "PER"], []]
)
def test_tags_are_those_of_a_scheme(folder: Path, tags: list[str]) -> None:
    change(folder / "tagger.json", lambda values: values["design"].update(tags=tags))
    assert "tagger.json: is not of a CRF tagger: design.tags" in error_of(folder)


@pytest.mark.parametrize(
    "coarse_of", [{}, {"actor": "LOC"}, {"city": "PER"}, {"actor": "PER", "city": "PER"}]
)
def test_each_fine_label_has_its_coarse_one(folder: Path, coarse_of: dict[str, str]) -> None:
    change(folder / "tagger.json", lambda values: values.update(coarse_of=coarse_of))
    assert "coarse_of: expected the coarse label of each fine one" in error_of(folder)
