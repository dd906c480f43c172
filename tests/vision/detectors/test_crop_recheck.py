"""Regions that are looked at again, by tiny detectors and matchers, against the library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.answers import whole
from helpers.contracts import check_backend
from helpers.factories import mentions_of
from helpers.odd_images import (
    SIDES,
    image_context,
    open_upright,
    samples_about,
    save_odd_images,
)
from helpers.tiny_blip import save_itm
from helpers.tiny_grounding_dino import save_grounding_dino
from helpers.tiny_owlv2 import save_owlv2
from helpers.tiny_siglip import TEXT_LIMIT, save_siglip
from PIL import Image

from riveg.protocols import AnswerOrIssue, Mention, PartialAnswer
from riveg.stages.grounders.grounding_dino import GroundingDinoConfig
from riveg.stages.grounders.owlv2 import Owlv2Config
from riveg.stages.table import GROUND
from riveg.types import Box, Issue, Region
from riveg.vision.detectors.crop_recheck import Recheck, RecheckedGrounder

pytestmark = pytest.mark.slow  # torch and its models, loaded and run

ROUNDED = 1e-3
"""Relative, where four digits are kept."""
MATCHERS = ("siglip", "itm")
MANY: dict[str, Any] = {"regions": "many", "top_k": 4}
DETECTORS = {
    "grounding-dino": (
        GroundingDinoConfig,
        {"box_threshold": 0.0, "overlap": 0.9, "shortest_edge": 96, "longest_edge": 192},
    ),
    "owlv2": (Owlv2Config, {"box_threshold": 0.0, "overlap": 0.9}),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_grounding_dino(folder / "grounding-dino")
    save_owlv2(folder / "owlv2")
    save_siglip(folder / "siglip")
    save_itm(folder / "itm")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_odd_images(tmp_path_factory.mktemp("pictures"))


def build(
    models: Path,
    images: Path,
    detector: str = "owlv2",
    recheck: dict[str, Any] | None = None,
    **fields: Any,
) -> Any:
    kind, usual = DETECTORS[detector]
    config = kind(
        model=detector,
        device="cpu",
        recheck=None
        if recheck is None
        else rechecked_by(recheck.pop("matcher", "siglip"), recheck),
        **{**usual, **fields},
    )
    return config.build(image_context(images, models))


def rechecked_by(matcher: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"matcher": matcher, "model": matcher, "device": "cpu", **fields}


def regions_of(answers: Sequence[AnswerOrIssue[tuple[Region, ...]]]) -> list[tuple[Region, ...]]:
    return [
        answer.answer if isinstance(answer, PartialAnswer) else whole(answer) for answer in answers
    ]


def score_of(region: Region) -> float:
    assert region.score is not None
    return region.score


def by_the_library(model: Path, crops: Sequence[tuple[Image.Image, str]]) -> list[float]:
    """One crop and text at a time: the processor and the whole network."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    found: list[float] = []
    if model.name == "itm":
        network = transformers.BlipForImageTextRetrieval.from_pretrained(model).eval()
        images = transformers.BlipImageProcessorPil.from_pretrained(model)
        processor: Any = transformers.BlipProcessor(images, tokenizer)
    else:
        network = transformers.SiglipModel.from_pretrained(model).eval()
        images = transformers.SiglipImageProcessorPil.from_pretrained(model)
        processor = transformers.SiglipProcessor(images, tokenizer)
    for crop, text in crops:
        with torch.no_grad():
            if model.name == "itm":
                inputs = processor(images=crop, text=text, return_tensors="pt")
                found.append(network(**inputs).itm_score.softmax(dim=1)[0, 1].item())
            else:
                inputs = processor(
                    images=crop,
                    text=[text.lower()],
                    padding="max_length",
                    max_length=TEXT_LIMIT,
                    return_tensors="pt",
                )
                found.append(network(**inputs).logits_per_image.sigmoid().item())
    return found


def crop_by_hand(image: Image.Image, box: Box, margin: float) -> Image.Image:
    edges = [
        box.x_min - margin * (box.x_max - box.x_min),
        box.y_min - margin * (box.y_max - box.y_min),
        box.x_max + margin * (box.x_max - box.x_min),
        box.y_max + margin * (box.y_max - box.y_min),
    ]
    array = np.clip(np.round(edges), 0, [image.width, image.height] * 2).astype(int)
    left, top, right, bottom = map(int, array)
    left, top = min(left, image.width - 1), min(top, image.height - 1)
    return image.crop((left, top, max(right, left + 1), max(bottom, top + 1)))


@pytest.mark.parametrize(
    ("detector", "matcher"), [("grounding-dino", "siglip"), ("owlv2", "itm"), ("owlv2", "siglip")]
)
def test_equals_scoring_the_crops_by_hand(
    models: Path, images: Path, detector: str, matcher: str
) -> None:
    mentions = mentions_of(*samples_about(*SIDES))
    found = regions_of(build(models, images, detector, **MANY).ground(mentions))
    crops = [
        (
            crop_by_hand(open_upright(images, str(mention.sample.image.path)), region.box, 0.2),
            f"a photo of {mention.entity.expression or mention.entity.text}",
        )
        for mention, regions in zip(mentions, found, strict=True)
        for region in regions
        if mention.sample.image is not None
    ]
    expected = by_the_library(models / matcher, crops)
    assert max(expected) - min(expected) > 0.3, "answers of any use differ"
    recheck = {
        "matcher": matcher,
        "threshold": 0.0,
        "margin": 0.2,
        "query": "a photo of {expression}",
    }
    again = regions_of(build(models, images, detector, recheck, **MANY).ground(mentions))
    assert [[one.box for one in regions] for regions in again] == [
        [one.box for one in regions] for regions in found
    ]
    scores = [region.score for regions in again for region in regions]
    assert scores == pytest.approx(expected, rel=ROUNDED)
    assert {one.source for regions in again for one in regions} == {f"{detector}+{matcher}"}


@pytest.mark.parametrize("matcher", MATCHERS)
def test_contract(models: Path, images: Path, matcher: str) -> None:
    recheck = {"matcher": matcher, "threshold": 0.4}
    backend = build(models, images, recheck=recheck, **MANY)
    samples = samples_about(*SIDES, "gone.png")
    answers = check_backend(GROUND, backend, mentions_of(*samples))
    assert [answer.kind for answer in answers if isinstance(answer, Issue)] == ["missing-image"] * 2
    assert len({len(answer) for answer in answers if isinstance(answer, tuple)}) > 1


@pytest.mark.parametrize("order", ["detector", "crop"])
def test_what_is_kept_and_in_which_order(models: Path, images: Path, order: str) -> None:
    mentions = mentions_of(*samples_about(*SIDES))
    everything = regions_of(
        build(models, images, recheck={"threshold": 0.0}, **MANY).ground(mentions)
    )
    middle = float(np.median([one.score for regions in everything for one in regions]))
    expected = [tuple(one for one in regions if score_of(one) >= middle) for regions in everything]
    if order == "crop":
        expected = [tuple(sorted(one, key=lambda region: -score_of(region))) for one in expected]
    recheck = {"threshold": middle, "order": order}
    assert (
        regions_of(build(models, images, recheck=dict(recheck), **MANY).ground(mentions))
        == expected
    )
    # Where one region is wanted, the detector still offers top_k.
    one = regions_of(build(models, images, recheck=dict(recheck), top_k=4).ground(mentions))
    assert one == [regions[:1] for regions in expected]
    assert any(
        kept and kept[0].box != all_[0].box for kept, all_ in zip(one, everything, strict=True)
    )
    assert () in expected, "where none fits the answer is that there is none"


def test_none_left(models: Path, images: Path) -> None:
    mentions = mentions_of(*samples_about(*SIDES))
    backend = build(models, images, recheck={"threshold": 1.0})
    assert regions_of(backend.ground(mentions)) == [()] * len(mentions)


class Given:
    """A detector whose answers are known beforehand."""

    def __init__(self, *answers: Any) -> None:
        self.answers = answers

    def ground(self, mentions: Sequence[Mention]) -> Sequence[Any]:
        return self.answers[: len(mentions)]


def rechecked(models: Path, image_folder: Path, *answers: Any, **fields: Any) -> RecheckedGrounder:
    matcher = Recheck(**rechecked_by("siglip", {})).load(models)
    images = image_context(image_folder, models).images
    options: dict[str, Any] = {"threshold": 0.0, "most_regions": 9, **fields}
    return RecheckedGrounder(Given(*answers), images, matcher, source="siglip", **options)


SMALL = (Box(10.2, 10.2, 10.3, 10.4), Box(96.9, 60.9, 97.0, 61.0), Box(96.99, 0, 97.4, 0.01))


def test_a_box_of_less_than_a_pixel_has_a_crop(models: Path, images: Path) -> None:
    (mention, _) = mentions_of(*samples_about("odd.png"))
    regions = tuple(Region(box, 0.5, source="mine") for box in SMALL)
    (answer,) = rechecked(models, images, regions).ground([mention])
    found = whole(answer)
    assert [one.box for one in found] == list(SMALL)
    image = open_upright(images, "odd.png")
    text = str(mention.entity.expression)
    crops = [(image.crop((x, y, x + 1, y + 1)), text) for x, y in [(10, 10), (96, 60), (96, 0)]]
    expected = by_the_library(models / "siglip", crops)
    assert [one.score for one in found] == pytest.approx(expected, rel=ROUNDED)


def test_what_is_no_region_goes_through(models: Path, images: Path) -> None:
    (mention, _) = mentions_of(*samples_about("odd.png"))
    issue = Issue("ground", "e0", "no-number", "why")
    warning = Issue("ground", "e0", "warning", "cut")
    region = Region(Box(0, 0, 30, 30), 0.5, source="mine")
    backend = rechecked(
        models,
        images,
        issue,
        (),
        PartialAnswer((), (warning,)),
        PartialAnswer((region,), (warning,)),
    )
    *others, last = backend.ground([mention] * 4)
    assert others == [issue, (), PartialAnswer((), (warning,))]
    assert isinstance(last, PartialAnswer)
    assert last.issues == (warning,)
    assert last.answer == (replace(region, score=last.answer[0].score, source="mine+siglip"),)


def test_an_image_that_went_away_is_told(models: Path, images: Path) -> None:
    gone, here = (mentions_of(*samples_about(name))[0] for name in ("gone.png", "odd.png"))
    region = Region(Box(0, 0, 1, 1), 0.5, source="mine")
    first, second = rechecked(models, images, (region,), (region,)).ground([gone, here])
    assert isinstance(first, Issue)
    assert (first.kind, first.entity_id) == ("missing-image", "e0")
    assert isinstance(second, tuple)


def test_a_cut_text_is_told_beside_the_answer(models: Path, images: Path) -> None:
    (mention, _) = mentions_of(*samples_about("odd.png"))
    long = replace(mention, entity=replace(mention.entity, expression="man " * 80))
    region = Region(Box(0, 0, 30, 30), 0.5, source="mine")
    warning = Issue("ground", "e0", "warning", "the detector's text was cut")
    (answer,) = rechecked(models, images, PartialAnswer((region,), (warning,))).ground([long])
    assert isinstance(answer, PartialAnswer)
    assert answer.issues[0] == warning
    assert answer.issues[1].message.startswith("the re-check's text has more than the 64 tokens")


def test_no_number_is_no_answer(models: Path, images: Path) -> None:
    import torch

    (mention, _) = mentions_of(*samples_about("odd.png"))
    backend = rechecked(models, images, (Region(Box(0, 0, 30, 30), 0.5),))
    with torch.no_grad():
        backend._matcher.network.logit_bias.fill_(math.nan)
    (answer,) = backend.ground([mention])
    assert isinstance(answer, Issue)
    assert (answer.stage, answer.entity_id, answer.kind) == ("ground", "e0", "no-number")


def test_each_image_crop_and_text_is_looked_at_once(models: Path, images: Path) -> None:
    mentions = mentions_of(*samples_about("odd.png", "square.png", "odd.png"))
    boxes = [Region(Box(x, 0, 30, 30), 0.5, source="mine") for x in (0, 5)]
    backend = rechecked(models, images, *[tuple(boxes)] * len(mentions))
    network = backend._matcher.network
    rows = {"pixel_values": 0, "input_ids": 0}
    opened: list[str] = []

    class Watched:
        def load(self, image: Any, source: Any = backend._images) -> Any:
            opened.append(image.path)
            return source.load(image)

    def count(_: Any, __: Any, arguments: Any) -> None:
        for name in rows:
            rows[name] += len(arguments.get(name, ()))

    network.vision_model.register_forward_pre_hook(count, with_kwargs=True)
    network.text_model.register_forward_pre_hook(count, with_kwargs=True)
    backend._images = Watched()  # type: ignore[assignment]
    backend.ground(mentions)
    assert opened == ["odd.png", "square.png"]
    assert rows == {"pixel_values": 4, "input_ids": 2}


def test_short_memory_halves_the_batch(
    models: Path, images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import torch

    mentions = mentions_of(*samples_about(*SIDES))
    expected = regions_of(
        build(models, images, recheck={"threshold": 0.0}, **MANY).ground(mentions)
    )
    backend = build(models, images, recheck={"threshold": 0.0}, **MANY)

    def run_short(_: Any, __: Any, arguments: Any) -> None:
        if len(arguments["pixel_values"]) > 1:
            raise torch.OutOfMemoryError("no more")

    backend._matcher.network.vision_model.register_forward_pre_hook(run_short, with_kwargs=True)
    found = regions_of(backend.ground(mentions))
    assert [one.score for regions in found for one in regions] == pytest.approx(
        [one.score for regions in expected for one in regions], rel=ROUNDED
    )
    assert "going on with 1" in caplog.text


def test_other_weights_are_other_contents(models: Path) -> None:
    plain = GroundingDinoConfig(model="grounding-dino")
    checked = GroundingDinoConfig(
        model="grounding-dino", recheck=Recheck(**rechecked_by("siglip", {}))
    )
    names = {*checked.contents(models)} - {*plain.contents(models)}
    assert {"recheck/config.json", "recheck/model.safetensors"} <= names
