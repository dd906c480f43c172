from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest
from factories import make_context, mentions_of

from riveg.errors import UserError
from riveg.protocols import Mention
from riveg.resources import asset, shipped
from riveg.stages.entailers.mini import MiniEntailer, MiniEntailerConfig
from riveg.training.entailer import EntailerTrainingConfig, train_entailer
from riveg.training.entailer_data import (
    FameCounter,
    JudgedSample,
    read_all_captions,
    read_judged,
)
from riveg.training.reliability import measure_reliability
from riveg.training.settings import read_settings
from riveg.types import Entailment

pytest.importorskip("torch", reason='needs the extra: pip install "riveg[train]"')

NAMES = {"PER": ["Ann", "Bob", "Cy Dee"], "LOC": ["Rome", "Texas"], "ORG": ["NASA"]}


def write_posts(folder: Path, split: str, count: int, seed: int) -> None:
    """Posts in which a person is shown when the text says "look" or the caption names it."""
    chance = random.Random(seed)
    lines, captions = [], []
    for number in range(count):
        picture = f"{split}{number}"
        label = chance.choice(sorted(NAMES))
        name = chance.choice(NAMES[label])
        looks, named = chance.random() < 0.5, chance.random() < 0.5
        first, *rest = name.split()
        lines += [f"IMGID:{picture}", "look\tO" if looks else "read\tO", f"{first}\tB-{label}"]
        lines += [*(f"{word}\tI-{label}" for word in rest), "now\tO", ""]
        captions.append(f"{picture}.jpg :{name.lower() if named else 'a cat'} on a wall")
        if label == "PER" and (looks or named):
            (folder / "xml" / f"{picture}.xml").write_text(
                f"<annotation><object><name>{name}</name></object></annotation>"
            )
    (folder / f"{split}.txt").write_text("\n".join(lines))
    with (folder / "captions.txt").open("a") as handle:
        handle.write("\n".join([*captions, ""]))


@pytest.fixture
def settings_of_a_small_set(tmp_path: Path) -> EntailerTrainingConfig:
    (tmp_path / "xml").mkdir()
    write_posts(tmp_path, "train", 300, seed=1)
    write_posts(tmp_path, "dev", 120, seed=2)
    return EntailerTrainingConfig(
        train=tmp_path / "train.txt",
        dev=tmp_path / "dev.txt",
        boxes=tmp_path / "xml",
        captions=(tmp_path / "captions.txt",),
        out=tmp_path / "model",
        penalty=0.5,
        word_penalty=0.5,
        most_features=150,
    )


def accuracy(backend: MiniEntailer, judged: tuple[JudgedSample, ...]) -> float:
    mentions = [mention for one in judged for mention in mentions_of(one.sample)]
    shown = [shown for one in judged for shown in one.shown]
    return measure_reliability(probabilities(backend, mentions), shown).accuracy


def probabilities(backend: MiniEntailer, mentions: list[Mention]) -> list[float]:
    answers = backend.entail(mentions)
    return [answer.probability or 0.0 for answer in answers if isinstance(answer, Entailment)]


def test_trains_end_to_end(settings_of_a_small_set: EntailerTrainingConfig) -> None:
    config = settings_of_a_small_set
    folder = train_entailer(config)
    backend = MiniEntailerConfig(model=folder).build(make_context())
    dev = read_judged(config.dev, config.boxes, read_all_captions(config.captions))
    bare = read_judged(config.dev, config.boxes, {})
    assert accuracy(backend, dev) == 1.0, "the caption tells the rest"
    assert 0.75 < accuracy(backend, bare) < 1.0, "the text alone does not"
    card = (folder / "CARD.md").read_text()
    assert "| train | 300 | 300 |" in card
    assert "most_features 150" in card


def test_the_same_settings_give_the_same_bytes(
    settings_of_a_small_set: EntailerTrainingConfig, tmp_path: Path
) -> None:
    first = train_entailer(settings_of_a_small_set)
    again = train_entailer(settings_of_a_small_set.model_copy(update={"out": tmp_path / "again"}))
    for path in sorted(first.iterdir()):
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_a_post_has_no_say_in_its_own_names_fame(
    settings_of_a_small_set: EntailerTrainingConfig,
) -> None:
    config = settings_of_a_small_set
    train = read_judged(config.train, config.boxes, {})
    counter = FameCounter(train, least_uses=3)
    everything = counter.fame()
    for one in train:
        (shown,), (entity,) = one.shown, one.sample.entities or ()
        uses, boxed = everything.mentions[entity.text.lower()]
        without = counter.fame_without(one).mentions[entity.text.lower()]
        assert without == (uses - 1, boxed - shown)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": "absent"}, "no such folder of VOC files"),
        ({"captions": ["absent"]}, "no such file of captions"),
        ({"train": "absent"}, "cannot be read"),
        ({"boxes": "empty"}, "entities with boxes and entities without"),
        ({"captions": []}, "no post has a caption"),
    ],
)
def test_what_is_missing_is_named(
    settings_of_a_small_set: EntailerTrainingConfig,
    tmp_path: Path,
    change: dict[str, object],
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    values = settings_of_a_small_set.model_dump()
    for key, value in change.items():
        values[key] = tmp_path / value if isinstance(value, str) else value
    with pytest.raises(UserError, match=message):
        train_entailer(EntailerTrainingConfig(**values))


def test_malformed_boxes_and_lost_ids_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("IMGID:1\nAnn\tB-PER\n")
    (tmp_path / "1.xml").write_text("<annotation>")
    with pytest.raises(UserError, match=r"1\.xml: not a VOC file"):
        read_judged(tmp_path / "text.txt", tmp_path, {})
    (tmp_path / "text.txt").write_text("Ann\tB-PER\n")
    with pytest.raises(UserError, match=r"text.txt:1: a sentence without"):
        read_judged(tmp_path / "text.txt", tmp_path, {})


def test_the_shipped_configuration_loads() -> None:
    config = read_settings(shipped("configs", "train", "entailer.yaml"), EntailerTrainingConfig)
    assert len(config.captions) == 2


@pytest.fixture(scope="module")
def twitter_gmner() -> Path:
    root = os.environ.get("RIVEG_TEST_DATA")
    if root is None or not (Path(root) / "twitter-gmner-v2").is_dir():
        pytest.skip("RIVEG_TEST_DATA names no folder with twitter-gmner-v2")
    return Path(root) / "twitter-gmner-v2"


@pytest.mark.parametrize(
    ("name", "captioned", "least"),
    [("caption.json", True, 0.79), ("captionless.json", False, 0.75)],
)
def test_the_shipped_model_scores_what_its_card_says(
    twitter_gmner: Path, name: str, captioned: bool, least: float
) -> None:
    card = asset("entailer", "CARD.md").read_text(encoding="utf-8")
    row = re.search(rf"\| {name} \| shipped \| 2450 \| ([\d.]+) \| ([\d.]+) \| ([\d.]+)", card)
    assert row is not None
    files = [twitter_gmner / "captions" / f"BLIP2_{year}.txt" for year in (15, 17)]
    captions = read_all_captions(files) if captioned else {}
    dev = read_judged(twitter_gmner / "txt" / "dev.txt", twitter_gmner / "xml", captions)
    backend = MiniEntailerConfig().build(make_context())
    said = probabilities(backend, [mention for one in dev for mention in mentions_of(one.sample)])
    found = measure_reliability(said, [shown for one in dev for shown in one.shown])
    rounding = 0.001
    assert found.accuracy >= max(float(row[1]), least) - rounding
    assert found.brier <= float(row[2]) + rounding
    assert found.calibration_error <= float(row[3]) + 5 * rounding
