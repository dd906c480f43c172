from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.contracts import check_backend
from helpers.factories import make_sample
from helpers.odd_images import (
    SIDES,
    image_context,
    open_upright,
    samples_about,
    save_odd_images,
)
from helpers.tiny_blip import save_blip2, save_captioner

from riveg.errors import UserError
from riveg.registry import backend_config
from riveg.stages.captioners.blip import Blip, BlipConfig
from riveg.stages.table import CAPTION
from riveg.types import Issue

pytestmark = pytest.mark.slow  # torch and its models, loaded and run

KINDS = ("blip", "opt", "t5")
"""BLIP, and BLIP-2 with each kind of writer."""
LONGEST = 6
PROMPTS = ("", "a photo of")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_captioner(folder / "blip")
    save_blip2(folder / "opt", "opt")
    save_blip2(folder / "t5", "t5")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_odd_images(tmp_path_factory.mktemp("pictures"))


def build(models: Path, images: Path, kind: str = "blip", **options: Any) -> Blip:
    options.setdefault("max_new_tokens", LONGEST)
    config = BlipConfig(model=kind, device="cpu", **options)
    return config.build(image_context(images, models))


def by_the_library(folder: Path, image_folder: Path, prompt: str) -> list[str]:
    """One image at a time: the processor, and ``generate`` as the model cards call it."""
    from transformers import (
        AutoModelForImageTextToText,
        AutoTokenizer,
        Blip2Processor,
        BlipProcessor,
    )
    from transformers import BlipImageProcessorPil as ImageProcessor

    network = AutoModelForImageTextToText.from_pretrained(folder).eval()
    parts = ImageProcessor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    is_first = folder.name == "blip"
    processor = BlipProcessor(*parts) if is_first else Blip2Processor(*parts, num_query_tokens=4)
    found = []
    for name in SIDES:
        text = {"text": prompt} if prompt else {}
        inputs = processor(images=open_upright(image_folder, name), return_tensors="pt", **text)
        tokens = network.generate(**inputs, max_new_tokens=LONGEST)
        written = processor.batch_decode(tokens, skip_special_tokens=True)[0].strip()
        # A decoder repeats what it was given; T5 is an encoder with a decoder of its own.
        found.append(written.removeprefix(prompt).strip() if folder.name != "t5" else written)
    return found


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_library(models: Path, images: Path, kind: str, prompt: str) -> None:
    expected = by_the_library(models / kind, images, prompt)
    if not prompt:
        assert len({*expected}) > 2, "captions of any use differ"
    for batch_size in (1, 4):
        backend = build(models, images, kind, prompt=prompt, batch_size=batch_size)
        assert backend.caption(samples_about(*SIDES)) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_contract(models: Path, images: Path, kind: str) -> None:
    samples = [*samples_about(*SIDES, "gone.png"), make_sample("none", id="none", has_image=False)]
    answers = check_backend(CAPTION, build(models, images, kind), samples)
    assert [answer.kind for answer in answers if isinstance(answer, Issue)] == ["missing-image"]
    assert answers[-1] == ""


def test_each_image_is_looked_at_once(models: Path, images: Path) -> None:
    backend = build(models, images)
    rows: list[int] = []
    backend._network.vision_model.register_forward_pre_hook(
        lambda _, __, arguments: rows.append(len(arguments["pixel_values"])), with_kwargs=True
    )
    first, second, third = backend.caption(samples_about("odd.png", "square.png", "odd.png"))
    assert sum(rows) == 2
    assert first == third != second


def test_short_memory_halves_the_batch(
    models: Path, images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import torch

    samples = samples_about(*SIDES)
    expected = build(models, images).caption(samples)
    backend = build(models, images)

    def run_short(_: Any, __: Any, arguments: Any) -> None:
        if len(arguments["pixel_values"]) > 3:
            raise torch.OutOfMemoryError("no more")

    backend._network.vision_model.register_forward_pre_hook(run_short, with_kwargs=True)
    assert backend.caption(samples) == expected
    assert "going on with 3" in caplog.text


def test_the_length_is_that_of_the_caption_alone(models: Path, images: Path) -> None:
    (short,) = build(models, images, "opt", max_new_tokens=1).caption(samples_about("odd.png"))
    (long,) = build(models, images, "opt").caption(samples_about("odd.png"))
    assert isinstance(short, str)
    assert isinstance(long, str)
    assert long.startswith(short)
    assert len(short.split()) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_writes_something(models: Path, images: Path, kind: str) -> None:
    backend = build(models, images, kind, dtype="bfloat16")
    assert all(isinstance(said, str) and said for said in backend.caption(samples_about(*SIDES)))


def test_other_models_are_refused(models: Path, images: Path, tmp_path: Path) -> None:
    folder = save_blip2(tmp_path / "old", "opt")
    config = json.loads((folder / "config.json").read_text())
    del config["image_token_index"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="image_token_index; take a newer copy"):
        build(tmp_path, images, "old")
    config["model_type"] = "bert"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="expected a model of type blip or blip-2, found bert"):
        build(tmp_path, images, "old")


def test_registered_with_contents(models: Path) -> None:
    assert backend_config("caption", "blip") is BlipConfig
    assert BlipConfig.needs_image
    names = BlipConfig(model="blip").contents(models)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {*names}
