"""What holds for every grounder on a network that finds boxes for texts.

``groundingdino`` is held to it in :mod:`helpers.groundingdino_cases`: it needs torchvision.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.answers import whole
from helpers.contracts import check_backend
from helpers.factories import make_sample, mentions_of
from helpers.image_mentions import mentions_in
from helpers.odd_images import SIDES, image_context, open_upright, save_odd_images
from helpers.tiny_florence2 import TEXT_LIMIT, save_florence2
from helpers.tiny_grounding_dino import save_grounding_dino
from helpers.tiny_owlv2 import save_owlv2

from riveg.protocols import Grounder, Mention, PartialAnswer
from riveg.stages.grounders.florence2 import Florence2Config
from riveg.stages.grounders.grounding_dino import GroundingDinoConfig
from riveg.stages.grounders.owlv2 import Owlv2Config
from riveg.stages.table import GROUND
from riveg.types import Issue
from riveg.vision.detectors.florence2 import Florence2Network
from riveg.vision.detectors.grounding_dino import GroundingDinoNetwork
from riveg.vision.detectors.owlv2 import Owlv2Network
from riveg.vision.runtime.options import TorchOptions

pytestmark = pytest.mark.slow  # torch and its models, loaded and run

NEW_TOKENS = 60
ALL: dict[str, Any] = {"regions": "many", "top_k": 100, "overlap": 1.0}
EVERY_SCORE = {"box_threshold": 0.0}


@dataclass(frozen=True)
class Case:
    """A backend, a tiny checkpoint of its kind, and texts in its vocabulary.

    ``fields``: of its configuration, with which it answers whatever the scores. ``long``, ``fits``:
    a text that is cut, and what is left of it, by the network; ``warning``: what is said of that.
    ``regions``: how many regions the contract asks for; ``answered``: of its fifteen mentions, so
    many have one at least. ``files``: some that shape answers.
    """

    config: Any
    save: Callable[[Path], Path]
    load: Callable[[Path, TorchOptions], Any]
    fields: dict[str, Any]
    texts: tuple[str, ...]
    long: Callable[[Any], str]
    fits: Callable[[Any], str]
    warning: str
    regions: dict[str, Any]
    answered: int
    files: tuple[str, ...]


def _florence2(folder: Path, options: TorchOptions) -> Florence2Network:
    return Florence2Network(folder, options, task="phrase-grounding", max_new_tokens=NEW_TOKENS)


def _longest(network: Florence2Network) -> str:
    return " ".join(["red"] * (TEXT_LIMIT - network.count_tokens("red") + 1))


GROUNDING_DINO = Case(
    GroundingDinoConfig,
    save_grounding_dino,
    GroundingDinoNetwork,
    {**EVERY_SCORE, "shortest_edge": 96, "longest_edge": 192},
    ("a red man", "dog with hat", "ann lee"),
    lambda _: "red dog " * 20 + "bob",
    lambda _: "red dog " * 14 + "red",
    "more than the 32 tokens",
    {},
    15,
    ("model.safetensors", "config.json", "tokenizer.json"),
)
CASES = {
    "florence2": Case(
        Florence2Config,
        save_florence2,
        _florence2,
        {"max_new_tokens": NEW_TOKENS},
        ("woman in a red shirt", "the dog", "team"),
        lambda network: _longest(network) + " dog",
        _longest,
        f"more than the {TEXT_LIMIT} tokens",
        ALL,
        11,
        ("model.safetensors", "processor_config.json"),
    ),
    "grounding-dino": GROUNDING_DINO,
    "mm-grounding-dino": GROUNDING_DINO,
    "owlv2": Case(
        Owlv2Config,
        save_owlv2,
        Owlv2Network,
        EVERY_SCORE,
        ("red man", "dog", "ann lee"),
        lambda _: "red dog with hat",
        lambda _: "red dog with",
        "'a photo of red dog with'",
        {},
        6,
        ("model.safetensors",),
    ),
}


@pytest.fixture(scope="module", params=CASES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def case(name: str) -> Case:
    return CASES[name]


@pytest.fixture(scope="module")
def folder(name: str, case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / name
    if name == "mm-grounding-dino":
        return save_grounding_dino(folder, name)
    return case.save(folder)


@pytest.fixture(scope="module")
def network(case: Case, folder: Path) -> Any:
    return case.load(folder, TorchOptions(model="-", device="cpu"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_odd_images(tmp_path_factory.mktemp("pictures"))
    open_upright(folder, "turned.jpg").save(folder / "upright.png")
    return folder


@pytest.fixture(scope="module")
def build(case: Case, network: Any, images: Path) -> Callable[..., Grounder]:
    def build(**fields: Any) -> Grounder:
        config = case.config(model="-", device="cpu", **{**case.fields, **fields})
        built: Grounder = config.build_on(network, image_context(images, images))
        return built

    return build


def many_mentions(case: Case) -> list[Mention]:
    return [
        mention
        for number, image in enumerate(SIDES)
        for mention in mentions_in(image, *case.texts[number % 2 :])
    ]


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_contract(case: Case, build: Callable[..., Any], images: Path, batch_size: int) -> None:
    mentions = many_mentions(case)
    assert len(mentions) == 15
    answers = check_backend(GROUND, build(**case.regions, batch_size=batch_size), mentions)
    assert answers == list(build(**case.regions, batch_size=32).ground(mentions))
    for mention, answer in zip(mentions, answers, strict=True):
        width, height = open_upright(images, mention.sample.id).size
        assert all(region.box.x_max <= width for region in whole(answer))
        assert all(region.box.y_max <= height for region in whole(answer))
    assert sum(map(bool, answers)) >= case.answered


def test_a_turned_image_is_answered_upright(case: Case, build: Callable[..., Any]) -> None:
    asking = build(**ALL)
    upright, turned = (
        asking.ground(mentions_in(image, case.texts[0])) for image in ("upright.png", "turned.jpg")
    )
    assert upright == turned


def test_a_text_that_is_too_long_is_cut_at_a_word_and_said(
    case: Case, build: Callable[..., Any], network: Any
) -> None:
    texts = case.long(network), case.fits(network)
    long, fits = build(**ALL).ground(mentions_in("odd.png", *texts))
    assert isinstance(fits, tuple)
    assert isinstance(long, PartialAnswer)
    assert long.answer == fits
    (issue,) = long.issues
    assert (issue.stage, issue.entity_id, issue.kind) == ("ground", "e0", "warning")
    assert case.warning in issue.message


def test_what_cannot_be_answered_says_why(case: Case, build: Callable[..., Any]) -> None:
    (imageless,) = mentions_of(make_sample("Ann waves", [(0, 1, "PER")], has_image=False))
    text = case.texts[0]
    mentions = [*mentions_in("gone.png", text), *mentions_in("odd.png", text), imageless]
    kinds = [
        answer.kind if isinstance(answer, Issue) else "fine"
        for answer in build(**ALL).ground(mentions)
    ]
    assert kinds == ["missing-image", "fine", "no-picture"]


def test_built_from_a_configuration(
    case: Case, build: Callable[..., Any], folder: Path, images: Path
) -> None:
    config = case.config(model=str(folder), device="cpu", **{**case.fields, **ALL, "top_k": 2})
    built = config.build(image_context(images, folder))
    (two,) = built.ground(mentions_in("odd.png", case.texts[1]))
    (every,) = build(**ALL).ground(mentions_in("odd.png", case.texts[1]))
    assert two == every[:2]
    assert len(two) == 2
    assert {*case.files} <= {*config.contents(Path())}


def test_workers_can_prepare_images(build: Callable[..., Any], images: Path) -> None:
    prepare = build()._finder.prepare
    pixels = np.array(open_upright(images, "three-rows.png"))
    assert torch.equal(pickle.loads(pickle.dumps(prepare))(pixels), prepare(pixels))
