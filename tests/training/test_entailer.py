from __future__ import annotations

import json
import os
import random
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml
from helpers.factories import make_context, mentions_of
from helpers.training import trained

from riveg.errors import UserError
from riveg.files import asset, shipped
from riveg.nn.entailment_classifier import read_classifier
from riveg.nn.named_things import find_things
from riveg.protocols import Mention
from riveg.stages.entailers.mini import MiniEntailer, MiniEntailerConfig
from riveg.training.data import read_annotated
from riveg.training.entailer.config import EntailerTrainingConfig
from riveg.training.entailer.data import JudgedSample, NameCounter, judged_samples
from riveg.training.entailer.evidence import EvidenceConfig
from riveg.training.entailer.sightings import MEASURED, derive_log_odds
from riveg.training.reliability import measure_reliability
from riveg.training.settings import read_settings
from riveg.types import Entailment

pytest.importorskip("torch", reason='needs the extra: pip install "riveg[train]"')

CONFIG = shipped("configs", "train", "entailer.yaml")
BOX = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
EVIDENCE = EvidenceConfig(
    face=1.0,
    person=0.5,
    nobody=-0.5,
    thing=0.8,
    no_thing=-0.4,
    lettering=2.0,
    long_lettering=0.7,
    person_lettering=1.5,
    name_alone=1.7,
    nobody_most=0.3,
    lettering_least=0.6,
    captioned=0.5,
)
NAMES = {"PER": ["Ann", "Bob", "Cy Dee"], "LOC": ["Rome", "Texas"], "ORG": ["NASA"]}


def write_samples(folder: Path, split: str, count: int, seed: int) -> None:
    """Samples in which a person is shown when the text says "look" or the caption names it."""
    chance = random.Random(seed)
    lines, captions = [], []
    for number in range(count):
        image = f"{split}{number}"
        label = chance.choice(sorted(NAMES))
        name = chance.choice(NAMES[label])
        looks, named = chance.random() < 0.5, chance.random() < 0.5
        first, *rest = name.split()
        lines += [f"IMGID:{image}", "look\tO" if looks else "read\tO", f"{first}\tB-{label}"]
        lines += [*(f"{word}\tI-{label}" for word in rest), "now\tO", ""]
        captions.append(f"{image}.jpg :{name.lower() if named else 'a cat'} on a wall")
        if label == "PER" and (looks or named):
            (folder / "xml" / f"{image}.xml").write_text(
                f"<annotation><object><name>{name}</name>{BOX}</object></annotation>"
            )
    (folder / f"{split}.txt").write_text("\n".join(lines))
    with (folder / "captions.txt").open("a") as handle:
        handle.write("\n".join([*captions, ""]))


def write_dataset(folder: Path, **changes: object) -> str:
    """A dataset's YAML beside the samples, some of its keys changed; ``None`` leaves one out."""
    values = {
        "name": "small",
        "version": "7",
        "format": "twitter-gmner",
        "text": {"train": "train.txt", "dev": "dev.txt"},
        "xml": "xml",
        "captions": ["captions.txt"],
        **changes,
    }
    path = folder / f"{'-'.join(changes) or 'whole'}.yaml"
    path.write_text(yaml.safe_dump({key: one for key, one in values.items() if one is not None}))
    return str(path)


@pytest.fixture
def settings_of_a_small_set(tmp_path: Path) -> EntailerTrainingConfig:
    (tmp_path / "xml").mkdir()
    write_samples(tmp_path, "train", 300, seed=1)
    write_samples(tmp_path, "dev", 120, seed=2)
    return EntailerTrainingConfig(
        data=write_dataset(tmp_path),
        out=tmp_path / "model",
        evidence=EVIDENCE,
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


@pytest.mark.slow
def test_trains_end_to_end(settings_of_a_small_set: EntailerTrainingConfig, tmp_path: Path) -> None:
    config = settings_of_a_small_set
    folder = trained(config)
    backend = MiniEntailerConfig(model=folder).build(make_context())
    dev = judged_samples(read_annotated(config.data, "dev"))
    bare = judged_samples(read_annotated(write_dataset(tmp_path, captions=None), "dev"))
    assert accuracy(backend, dev) == 1.0, "the caption tells the rest"
    assert 0.75 < accuracy(backend, bare) < 1.0, "the text alone does not"
    card = (folder / "CARD.md").read_text()
    assert "Learnt from small 7, train: 300 posts, sha256 " in card
    assert "| train | 300 | 300 | 300 |" in card
    assert "most_features 150" in card
    for name, captioned in (("caption.json", True), ("captionless.json", False)):
        shifts = read_classifier(folder / name).shifts
        assert shifts == EVIDENCE.shifts(captioned=captioned)
        for finding, shift in shifts.items():
            assert f"| {name} | {finding} | {shift.log_odds:+g} | {shift.reason} |" in card
        limits = read_classifier(folder / name).limits
        assert limits == EVIDENCE.limits()
        for finding, limit in limits.items():
            assert f"| {name} | {finding} | {limit.probability:g} | {limit.reason} |" in card


def test_the_same_settings_give_the_same_bytes(
    settings_of_a_small_set: EntailerTrainingConfig, tmp_path: Path
) -> None:
    first = trained(settings_of_a_small_set)
    again = trained(settings_of_a_small_set.model_copy(update={"out": tmp_path / "again"}))
    for name in ("caption.json", "captionless.json"):
        assert (first / name).read_bytes() == (again / name).read_bytes()


def test_a_samples_own_answers_are_left_out_of_its_names_counts(
    settings_of_a_small_set: EntailerTrainingConfig,
) -> None:
    config = settings_of_a_small_set
    train = judged_samples(read_annotated(config.data, "train"))
    counter = NameCounter(train, least_uses=3)
    everything = counter.counts()
    for one in train:
        (shown,), (entity,) = one.shown, one.sample.entities or ()
        uses, boxed = everything.mentions[entity.text.lower()]
        without = counter.counts_without(one).mentions[entity.text.lower()]
        assert without == (uses - 1, boxed - shown)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"xml": "absent"}, "absent: no such folder"),
        ({"xml": "empty"}, "entities with boxes and entities without"),
        ({"captions": ["absent.txt"]}, "no post with entities has a caption"),
        ({"text": {"dev": "dev.txt"}}, "no split 'train'"),
        ({"text": {"train": "train.txt"}}, "no split 'dev'"),
        ({"format": "twitter-mner", "xml": None}, "entities with boxes and entities without"),
    ],
)
def test_what_is_missing_is_named(
    settings_of_a_small_set: EntailerTrainingConfig,
    tmp_path: Path,
    change: dict[str, object],
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    data = write_dataset(tmp_path, **change)
    with pytest.raises(UserError, match=message):
        trained(settings_of_a_small_set.model_copy(update={"data": data}))
    assert not settings_of_a_small_set.out.exists(), "nothing is left of a training that failed"


def test_malformed_boxes_are_named(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("IMGID:1\nAnn\tB-PER\n")
    (tmp_path / "xml").mkdir()
    (tmp_path / "xml" / "1.xml").write_text("<annotation>")
    with pytest.raises(UserError, match=r"1\.xml: cannot be read as XML"):
        read_annotated(write_dataset(tmp_path), "train")


@pytest.mark.parametrize(
    ("captioned", "log_odds"),
    [
        (
            False,
            {
                **{"face": 1, "person": 0.5, "nobody": -0.5, "thing": 0.8, "no-thing": -0.4},
                **{"lettering": 2, "long-lettering": 0.7},
                **{"person-lettering": 1.5, "name-alone": 1.7},
            },
        ),
        # A caption tells of people and things, but not what is written.
        (
            True,
            {
                **{"face": 0.5, "person": 0.25, "nobody": -0.25, "thing": 0.4, "no-thing": -0.2},
                **{"lettering": 2, "long-lettering": 0.7},
                **{"person-lettering": 1.5, "name-alone": 1.7},
            },
        ),
    ],
)
def test_evidence_is_what_is_declared(captioned: bool, log_odds: dict[str, float]) -> None:
    shifts = EVIDENCE.shifts(captioned=captioned)
    assert {name: shift.log_odds for name, shift in shifts.items()} == log_odds
    chosen = {name for name, shift in shifts.items() if "not measured" in shift.reason}
    assert chosen == {"name-alone"}
    assert "2.7 times as often" in shifts["face"].reason, "e to the declared log-odds"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nobody": 0.5}, "nobody"),  # nobody there speaks against a person
        ({"face": -1.0}, "face"),
        ({"no_thing": 0.1}, "no_thing"),
        ({"captioned": 1.5}, "captioned"),
        ({"nobody_most": 1.5}, "nobody_most"),
        ({"hands": 1.0}, "hands"),
    ],
)
def test_evidence_that_points_the_wrong_way_is_refused(
    change: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        EvidenceConfig(**{**EVIDENCE.model_dump(), **change})


def test_the_shipped_models_have_the_evidence_of_the_shipped_configuration() -> None:
    config = read_settings(CONFIG, EntailerTrainingConfig)
    assert config.out.parts[0] == "out", "a user's training leaves the shipped models alone"
    for name, captioned in (("caption.json", True), ("captionless.json", False)):
        shifts = read_classifier(asset("entailer", name)).shifts
        assert shifts == config.evidence.shifts(captioned=captioned)
        assert read_classifier(asset("entailer", name)).limits == config.evidence.limits()


def test_the_shipped_evidence_is_the_derived_one() -> None:
    evidence = read_settings(CONFIG, EntailerTrainingConfig).evidence
    derived = derive_log_odds(MEASURED)
    for one in fields(derived):
        assert getattr(evidence, one.name) == getattr(derived, one.name), one.name


def test_a_model_that_tells_fewer_findings_apart_can_still_be_read(tmp_path: Path) -> None:
    content = json.loads(asset("entailer", "caption.json").read_text(encoding="utf-8"))
    for name in ("thing", "no-thing", "long-lettering", "name-alone"):
        del content["shifts"][name]
    del content["limits"]
    (tmp_path / "old.json").write_text(json.dumps(content))
    model = read_classifier(tmp_path / "old.json")
    assert model.shifts["thing"].log_odds == model.shifts["no-thing"].log_odds == 0
    assert model.shifts["long-lettering"] == model.shifts["lettering"]
    assert model.shifts["name-alone"] == model.shifts["person-lettering"]
    assert model.limits == {}


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
    twitter_gmner: Path, tmp_path: Path, name: str, captioned: bool, least: float
) -> None:
    card = asset("entailer", "CARD.md").read_text(encoding="utf-8")
    row = re.search(rf"\| {name} \| shipped \| 2450 \| ([\d.]+) \| ([\d.]+) \| ([\d.]+)", card)
    assert row is not None
    shipped_set = yaml.safe_load(
        shipped("configs", "datasets", "twitter-gmner.yaml").read_text(encoding="utf-8")
    )
    captions = shipped_set["captions"] if captioned else None
    data = write_dataset(
        tmp_path, **{**shipped_set, "root": str(twitter_gmner), "captions": captions}
    )
    dev = judged_samples(read_annotated(data, "dev"))
    assert any(one.sample.caption for one in dev) is captioned
    backend = MiniEntailerConfig().build(make_context())
    said = probabilities(backend, [mention for one in dev for mention in mentions_of(one.sample)])
    found = measure_reliability(said, [shown for one in dev for shown in one.shown])
    rounding = 0.001
    assert found.accuracy >= max(float(row[1]), least) - rounding
    assert found.brier <= float(row[2]) + rounding
    assert found.calibration_error <= float(row[3]) + 5 * rounding


def test_nobody_is_in_an_image_without_people_whatever_the_post_says(
    twitter_gmner: Path, tmp_path: Path
) -> None:
    shipped_set = yaml.safe_load(
        shipped("configs", "datasets", "twitter-gmner.yaml").read_text(encoding="utf-8")
    )
    data = write_dataset(tmp_path, **{**shipped_set, "root": str(twitter_gmner)})
    backend = MiniEntailerConfig().build(make_context())
    samples = [
        replace(one.sample, observations=(), caption=caption)
        for one in judged_samples(read_annotated(data, "dev"))
        for caption in {one.sample.caption, None}
    ]
    mentions = [
        mention
        for sample in samples
        for mention in mentions_of(sample)
        if mention.entity.label == "PER" and not find_things(sample, mention.entity).is_meant
    ]
    assert len(mentions) > 2000
    assert max(probabilities(backend, mentions)) < 0.3
