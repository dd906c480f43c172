from __future__ import annotations

from dataclasses import replace
from functools import partial
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
from helpers.tiny_blip import TEXT_LIMIT, save_itm

from riveg.errors import ImageFault, UserError
from riveg.protocols import Mention, PartialAnswer
from riveg.registry import backend_config
from riveg.stages.entailers.itm import ItmEntailerConfig
from riveg.stages.table import ENTAIL
from riveg.types import Entailment, Issue
from riveg.vision.matchers.entailer import MatchingEntailer
from riveg.vision.matchers.itm import load_itm_matcher
from riveg.vision.matchers.matcher import Pair
from riveg.vision.queries import query_text
from riveg.vision.runtime.image_queue import PreparedImageQueue
from riveg.vision.runtime.tensors import image_tensors

pytestmark = pytest.mark.slow  # torch and its models, loaded and run

EXACT = 1e-5
"""Relative, not rounded: batches of other sizes add up in another order."""
ROUNDED = 1e-3
"""Relative, where four digits are kept."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_itm(tmp_path_factory.mktemp("itm"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_odd_images(tmp_path_factory.mktemp("pictures"))


def build(model: Path, images: Path, **options: Any) -> MatchingEntailer:
    config = ItmEntailerConfig(model=model.name, device="cpu", **options)
    return config.build(image_context(images, model.parent))


def probabilities(answers: Any) -> list[float]:
    return [answer.probability for answer in answers]


def by_the_library(
    model: Path, image_folder: Path, mentions: list[Mention], query: str
) -> list[float]:
    """One mention at a time: the processor, the whole network, the head's softmax."""
    import torch
    from transformers import AutoTokenizer, BlipForImageTextRetrieval, BlipProcessor
    from transformers import BlipImageProcessorPil as ImageProcessor

    network = BlipForImageTextRetrieval.from_pretrained(model).eval()
    processor = BlipProcessor(
        ImageProcessor.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    )
    found = []
    for mention in mentions:
        assert mention.sample.image is not None
        inputs = processor(
            images=open_upright(image_folder, mention.sample.image.path),
            text=query_text(query, mention.entity),
            return_tensors="pt",
        )
        with torch.no_grad():
            found.append(network(**inputs).itm_score.softmax(dim=1)[0, 1].item())
    return found


def exactly(
    model: Path, image_folder: Path, mentions: list[Mention], query: str, batch_size: int
) -> list[float]:
    """What the matcher says of the mentions, before it is rounded."""
    config = ItmEntailerConfig(model=str(model), device="cpu", batch_size=batch_size)
    matcher = load_itm_matcher(model, config)
    images = image_context(image_folder, model).images
    prepared = PreparedImageQueue(images, partial(image_tensors, matcher.processor))
    opened = prepared.take_distinct(mention.sample.image for mention in mentions)
    seen = [one.value for one in opened.values() if not isinstance(one, ImageFault)]
    places = {path: place for place, path in enumerate(opened)}
    pairs = [
        Pair(places[mention.sample.image.path], query_text(query, mention.entity))
        for mention in mentions
        if mention.sample.image is not None
    ]
    return list(matcher.probabilities(seen, pairs))


@pytest.mark.parametrize("query", ["{expression}", "{mention} is belong {label}"])
def test_equals_the_library(model: Path, images: Path, query: str) -> None:
    mentions = mentions_of(*samples_about(*SIDES))
    expected = by_the_library(model, images, mentions, query)
    assert max(expected) - min(expected) > 0.3, "answers of any use differ"
    answers = build(model, images, query=query).entail(mentions)
    assert probabilities(answers) == pytest.approx(expected, rel=ROUNDED)
    assert exactly(model, images, mentions, query, 5) == pytest.approx(expected, rel=EXACT)


def test_contract(model: Path, images: Path) -> None:
    samples = samples_about(*SIDES, "gone.png")
    samples.append(make_sample("no picture", [(0, 1, "PER")], id="none", has_image=False))
    answers = check_backend(ENTAIL, build(model, images), mentions_of(*samples))
    assert [answer.kind for answer in answers if isinstance(answer, Issue)] == ["missing-image"] * 2
    assert answers[-1] == Entailment(0.0, False, "itm")


@pytest.mark.parametrize("batch_size", [2, 64])
def test_batches_change_nothing(model: Path, images: Path, batch_size: int) -> None:
    mentions = mentions_of(*samples_about(*SIDES))
    expected = [
        probability
        for mention in mentions
        for probability in exactly(model, images, [mention], "{expression}", 1)
    ]
    together = exactly(model, images, mentions, "{expression}", batch_size)
    assert together == pytest.approx(expected, rel=EXACT)


def test_padding_on_the_left_changes_nothing(model: Path, images: Path) -> None:
    mentions = mentions_of(*samples_about("odd.png", "square.png"))
    backend = build(model, images)
    expected = backend.entail(mentions)
    backend._matcher.tokenizer.padding_side = "left"
    assert backend.entail(mentions) == expected


def test_the_threshold_decides(model: Path, images: Path) -> None:
    mentions = mentions_of(*samples_about(*SIDES))
    middle = sorted(probabilities(build(model, images).entail(mentions)))[6]
    for answer in build(model, images, threshold=middle).entail(mentions):
        assert isinstance(answer, Entailment)
        assert answer.probability is not None
        assert answer.groundable == (answer.probability >= middle)


class Counted:
    """Counts the rows that each part of a network is asked about, by hooks of torch."""

    def __init__(self, network: Any, **parts: str) -> None:
        self.rows = dict.fromkeys(parts, 0)
        for name, argument in parts.items():

            def count(
                _: Any, __: Any, arguments: Any, name: str = name, key: str = argument
            ) -> None:
                self.rows[name] += len(arguments[key])

            getattr(network, name).register_forward_pre_hook(count, with_kwargs=True)


def test_each_image_and_each_pair_is_looked_at_once(model: Path, images: Path) -> None:
    samples = samples_about("odd.png", "odd.png", "square.png")
    backend = build(model, images)
    network = backend._matcher.network
    counted = Counted(network, vision_model="pixel_values", text_encoder="input_ids")
    backend.entail(mentions_of(*samples))
    assert counted.rows == {"vision_model": 2, "text_encoder": 4}


def test_short_memory_halves_the_batch(
    model: Path, images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import torch

    mentions = mentions_of(*samples_about(*SIDES))
    expected = build(model, images).entail(mentions)
    backend = build(model, images, batch_size=8)

    def run_short(_: Any, __: Any, arguments: Any) -> None:
        if len(arguments["input_ids"]) > 2:
            raise torch.OutOfMemoryError("no more")

    network = backend._matcher.network
    network.text_encoder.register_forward_pre_hook(run_short, with_kwargs=True)
    assert probabilities(backend.entail(mentions)) == pytest.approx(
        probabilities(expected), rel=ROUNDED
    )
    assert "going on with 2" in caplog.text


def test_a_long_text_is_cut_at_a_word_and_says_so(model: Path, images: Path) -> None:
    (mention, other) = mentions_of(*samples_about("odd.png"))
    words = ["the", "man", "in", "red"] * 10
    long = replace(mention, entity=replace(mention.entity, expression=" ".join(words)))
    backend = build(model, images)
    answer, whole = backend.entail([long, other])
    assert isinstance(answer, PartialAnswer)
    (issue,) = answer.issues
    assert (issue.kind, issue.entity_id) == ("warning", "e0")
    kept = " ".join(words[: TEXT_LIMIT - 2])
    assert f"cut to {kept!r}" in issue.message
    cut = replace(mention, entity=replace(mention.entity, expression=kept))
    assert backend.entail([cut]) == [answer.answer]
    assert isinstance(whole, Entailment)


def test_half_precision_comes_near(model: Path, images: Path) -> None:
    mentions = mentions_of(*samples_about("odd.png", "wide.png"))
    rough = build(model, images, dtype="bfloat16").entail(mentions)
    exact = build(model, images).entail(mentions)
    assert probabilities(rough) == pytest.approx(probabilities(exact), abs=0.05)


def test_another_model_and_none_are_refused(model: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither a folder nor in the cache"):
        build(tmp_path / "nowhere", images)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="cannot be loaded as"):
        build(tmp_path / "empty", images)
    with pytest.raises(ValueError, match="no field 'name'"):
        ItmEntailerConfig(query="{name}")


def test_registered_with_contents(model: Path) -> None:
    assert backend_config("entail", "itm") is ItmEntailerConfig
    assert ItmEntailerConfig.needs_image
    names = ItmEntailerConfig(model=model.name).contents(model.parent)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {*names}
