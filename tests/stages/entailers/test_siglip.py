from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.contracts import check_backend
from helpers.factories import make_sample, mentions_of
from helpers.odd_images import (
    SIDES,
    image_context,
    open_upright,
    samples_about,
    save_odd_images,
)
from helpers.tiny_blip import save_itm
from helpers.tiny_siglip import TEXT_LIMIT, save_siglip

from riveg.errors import UserError
from riveg.protocols import Mention, PartialAnswer
from riveg.registry import backend_config
from riveg.stages.entailers.siglip import SiglipEntailerConfig
from riveg.stages.table import ENTAIL
from riveg.types import Entailment, Issue
from riveg.vision.matchers.entailer import MatchingEntailer
from riveg.vision.matchers.matcher import Pair
from riveg.vision.matchers.siglip import SiglipMatcher, load_siglip_matcher
from riveg.vision.runtime.tensors import image_tensors

pytestmark = pytest.mark.slow  # torch and its models, loaded and run

EXACT = 1e-5
"""Relative, not rounded: batches of other sizes add up in another order."""
ROUNDED = 1e-3
"""Relative, where four digits are kept."""
KINDS = ("siglip", "siglip2")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for kind in KINDS:
        save_siglip(folder / kind, kind)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_odd_images(tmp_path_factory.mktemp("pictures"))


def build(models: Path, images: Path, kind: str = "siglip", **options: Any) -> MatchingEntailer:
    config = SiglipEntailerConfig(model=kind, device="cpu", **options)
    return config.build(image_context(images, models))


def matcher_of(folder: Path, batch_size: int = 8) -> SiglipMatcher:
    config = SiglipEntailerConfig(model=str(folder), device="cpu", batch_size=batch_size)
    return load_siglip_matcher(folder, config)


def probabilities(answers: Any) -> list[float]:
    return [answer.probability for answer in answers]


TEXTS = ("the woman in a red shirt, left", "Red Team", "a")


def by_the_library(folder: Path, image_folder: Path) -> list[float]:
    """One pair at a time: the processor, the whole network, the sigmoid."""
    import torch
    from transformers import AutoModel, AutoTokenizer, Siglip2Processor, SiglipProcessor
    from transformers import Siglip2ImageProcessorPil as AnySize
    from transformers import SiglipImageProcessorPil as Square

    network = AutoModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if folder.name == "siglip":
        processor = SiglipProcessor(Square.from_pretrained(folder), tokenizer)
        options: dict[str, Any] = {"padding": "max_length", "max_length": TEXT_LIMIT}
    else:
        processor = Siglip2Processor(AnySize.from_pretrained(folder), tokenizer)
        options = {"max_num_patches": 16, "patch_size": 8}
    found = []
    for name in SIDES:
        for text in TEXTS:
            image = open_upright(image_folder, name)
            inputs = processor(images=image, text=[text.lower()], return_tensors="pt", **options)
            with torch.no_grad():
                found.append(network(**inputs).logits_per_image.sigmoid().item())
    return found


def seen_by(matcher: SiglipMatcher, image_folder: Path) -> list[Any]:
    images = image_context(image_folder, image_folder).images
    samples = samples_about(*SIDES)
    return [
        image_tensors(matcher.processor, images.load(sample.image))
        for sample in samples
        if sample.image is not None
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_library(models: Path, images: Path, kind: str) -> None:
    expected = by_the_library(models / kind, images)
    assert max(expected) - min(expected) > 0.3, "answers of any use differ"
    pairs = [Pair(number, text) for number in range(len(SIDES)) for text in TEXTS]
    for batch_size in (1, 2, 64):
        matcher = matcher_of(models / kind, batch_size)
        found = matcher.probabilities(seen_by(matcher, images), pairs)
        assert found == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_contract(models: Path, images: Path, kind: str) -> None:
    samples = samples_about(*SIDES, "gone.png")
    samples.append(make_sample("no picture", [(0, 1, "PER")], id="none", has_image=False))
    answers = check_backend(ENTAIL, build(models, images, kind), mentions_of(*samples))
    assert [answer.kind for answer in answers if isinstance(answer, Issue)] == ["missing-image"] * 2
    assert answers[-1] == Entailment(0.0, False, "siglip")


def test_padding_on_the_left_changes_nothing(models: Path, images: Path, tmp_path: Path) -> None:
    mentions = mentions_of(*samples_about(*SIDES))
    save_siglip(tmp_path / "left", padding_side="left")
    left = build(tmp_path, images, "left").entail(mentions)
    assert left == build(models, images).entail(mentions)


def test_capitals_change_nothing(models: Path, images: Path) -> None:
    (mention, _) = mentions_of(*samples_about("odd.png"))
    shouted = replace(mention, entity=replace(mention.entity, expression="THE Woman"))
    said = replace(mention, entity=replace(mention.entity, expression="the woman"))
    first, second = build(models, images).entail([shouted, said])
    assert first == second


def test_the_network_s_own_scale_and_bias_are_used(models: Path, images: Path) -> None:
    import torch

    backend = build(models, images)
    network = backend._matcher.network
    with torch.no_grad():
        network.logit_bias.fill_(-40.0)
    answers = probabilities(backend.entail(mentions_of(*samples_about(*SIDES))))
    assert all(0.0 < probability < 1e-12 for probability in answers), "small, but not nothing"


def count_rows(network: Any, part: str, argument: str) -> list[int]:
    rows: list[int] = []
    getattr(network, part).register_forward_pre_hook(
        lambda _, __, arguments: rows.append(len(arguments[argument])), with_kwargs=True
    )
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_each_image_and_each_text_is_read_once(models: Path, images: Path, kind: str) -> None:
    backend = build(models, images, kind)
    network = backend._matcher.network
    seen = count_rows(network, "vision_model", "pixel_values")
    read = count_rows(network, "text_model", "input_ids")
    backend.entail(mentions_of(*samples_about("odd.png", "square.png", "odd.png")))
    assert (sum(seen), sum(read)) == (2, 2)


@pytest.mark.parametrize(
    ("part", "argument"), [("vision_model", "pixel_values"), ("text_model", "input_ids")]
)
def test_short_memory_halves_the_batch(
    models: Path,
    images: Path,
    caplog: pytest.LogCaptureFixture,
    part: str,
    argument: str,
) -> None:
    import torch

    mentions = mentions_of(*samples_about(*SIDES))
    expected = build(models, images).entail(mentions)
    backend = build(models, images)

    def run_short(_: Any, __: Any, arguments: Any) -> None:
        if len(arguments[argument]) > 1:
            raise torch.OutOfMemoryError("no more")

    network = backend._matcher.network
    getattr(network, part).register_forward_pre_hook(run_short, with_kwargs=True)
    found = probabilities(backend.entail(mentions))
    assert found == pytest.approx(probabilities(expected), rel=ROUNDED)
    assert "going on with 1" in caplog.text


def test_a_long_text_is_cut_at_a_word_and_says_so(models: Path, images: Path) -> None:
    (mention, _) = mentions_of(*samples_about("odd.png"))
    long = with_words(mention, 80)
    backend = build(models, images)
    (answer,) = backend.entail([long])
    assert isinstance(answer, PartialAnswer)
    assert [issue.kind for issue in answer.issues] == ["warning"]
    # One place is the end's.
    assert backend.entail([with_words(mention, TEXT_LIMIT - 1)]) == [answer.answer]


def with_words(mention: Mention, count: int) -> Mention:
    return replace(mention, entity=replace(mention.entity, expression=" ".join(["man"] * count)))


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_comes_near(models: Path, images: Path, kind: str) -> None:
    mentions = mentions_of(*samples_about("odd.png", "wide.png"))
    rough = build(models, images, kind, dtype="bfloat16").entail(mentions)
    exact = build(models, images, kind).entail(mentions)
    assert probabilities(rough) == pytest.approx(probabilities(exact), abs=0.05)


def test_another_model_is_refused(images: Path, tmp_path: Path) -> None:
    save_itm(tmp_path / "other")
    with pytest.raises(UserError, match="expected a model of type siglip or siglip2, found blip"):
        build(tmp_path, images, "other")


def test_registered_with_contents(models: Path) -> None:
    assert backend_config("entail", "siglip") is SiglipEntailerConfig
    names = SiglipEntailerConfig(model="siglip").contents(models)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {*names}
