"""``riveg train entailer-itm`` on tiny networks: it learns by heart, and ``entail`` answers so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

pytest.importorskip("accelerate", reason='needs the extra: pip install "riveg[train]"')

from helpers.drawn_posts import write_posts
from helpers.places import ROOT
from helpers.report_runs import make_run
from helpers.tiny_blip import save_blip2_itm, save_captioner, save_itm
from helpers.tiny_itm_training import LOOP, settings
from helpers.tiny_siglip import save_siglip
from helpers.training import Heard, trained

from riveg.config.backend import BuildContext
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.protocols import Mention
from riveg.registry import backend_config
from riveg.runs.system import load_system
from riveg.stages.entailers.itm import ItmEntailerConfig
from riveg.training.config import Course
from riveg.training.data import read_annotated
from riveg.training.entailer_itm.config import EntailerItmTrainingConfig
from riveg.training.entailer_itm.figures import Judged
from riveg.training.entailer_itm.trainee import EntailerItm
from riveg.training.loop import train
from riveg.types import Entailment, Entity
from riveg.vision.matchers.trained import MatcherSettings, calibrated

pytestmark = pytest.mark.usefixtures("one_thread")

SAVERS: Mapping[str, Callable[[Path], Path]] = {
    "blip": save_itm,
    "blip-2": save_blip2_itm,
    "siglip": save_siglip,
    "siglip2": lambda folder: save_siglip(folder, "siglip2"),
}
MATCHERS = {"blip": "itm", "blip-2": "itm", "siglip": "siglip", "siglip2": "siglip"}
BY_HEART = {"epochs": 10, "batch_size": 8, "learning_rate": 3e-3, "device": "cpu", "threads": 1}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {kind: save(folder / kind) for kind, save in SAVERS.items()}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_posts(tmp_path_factory.mktemp("data"), repeats=2)


@pytest.fixture(scope="module")
def folder(
    models: Mapping[str, Path], data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A BLIP that was trained."""
    out = tmp_path_factory.mktemp("trained") / "out"
    return trained(settings(models["blip"], data, out, loop=BY_HEART))


def trainee(config: EntailerItmTrainingConfig, heard: Heard | None = None) -> EntailerItm:
    return EntailerItm(config, Course(config, config.out, config.out, heard or Heard()))


def entailed(folder: Path, data: Path, name: str, **more: Any) -> list[Entailment]:
    """What a system's backend says of the gold mentions of dev."""
    source = read_annotated(str(data), "dev")
    kind: Any = backend_config("entail", name)
    backend = kind(model=str(folder), device="cpu", **more).build(
        BuildContext(images=source.images)
    )
    mentions = [
        Mention(sample, Entity(f"e{number}", one.text, one.label, one.span))
        for sample, gold in source.pairs
        for number, one in enumerate(gold.entities)
    ]
    answers = backend.entail(mentions)
    assert all(isinstance(one, Entailment) for one in answers)
    return list(answers)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SAVERS)
def test_posts_are_learnt_by_heart_and_the_folder_says_the_same(
    models: Mapping[str, Path], data: Path, tmp_path: Path, kind: str
) -> None:
    config = settings(models[kind], data, tmp_path / "out", loop=BY_HEART)
    learner = trainee(config)
    result = train(learner, config.loop, tmp_path / "work", progress=Heard())
    network = learner.network()
    result.load_into(network)
    judged = learner.judged_on_dev(network.eval())
    out = trained(config)
    card = (out / "CARD.md").read_text(encoding="utf-8")
    assert "| all | 100.00 | [100.0, 100.0] | 100.00 | 100.00 |" in card
    again = trainee(settings(out, data, tmp_path / "again", loop=BY_HEART))
    assert again.judged_on_dev(again.matcher.network) == judged, "to the last digit"
    own = MatcherSettings.read(out)
    assert own is not None
    answers = entailed(out, data, MATCHERS[kind])
    assert [one.groundable for one in answers] == [one.row.is_shown for one in judged]
    expected = [calibrated(one.probability, own.temperature) for one in judged]
    assert [one.probability for one in answers] == pytest.approx(expected, rel=1e-3)


@pytest.mark.slow
def test_a_training_that_is_killed_ends_with_the_same_weights(
    models: Mapping[str, Path], data: Path, tmp_path: Path
) -> None:
    """In bfloat16, with accumulation and averaged weights, where most could differ."""
    whole = trained(settings(models["blip"], data, tmp_path / "whole"))
    work = tmp_path / "broken.training"
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    script = ROOT / "tests" / "helpers" / "tiny_itm_training.py"
    with subprocess.Popen(
        [sys.executable, script, models["blip"], data, tmp_path / "broken"],
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        while process.poll() is None and not any(work.glob("checkpoint-[2-6]/whole")):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    broken = trained(settings(models["blip"], data, tmp_path / "broken"), resume=True)
    assert "goes on after step" in (work / "training.log").read_text(encoding="utf-8")
    for name in ("model.safetensors", "entailment.json"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.slow
def test_towers_stay_as_they_are(models: Mapping[str, Path], data: Path, tmp_path: Path) -> None:
    import torch

    loop = {**LOOP, "epochs": 1, "learning_rates": {"itm_head": 0.01}}
    config = settings(models["blip"], data, tmp_path / "out", frozen=["vision", "text"], loop=loop)
    learner = trainee(config)
    result = train(learner, config.loop, tmp_path / "work", progress=Heard())
    network = learner.network()
    result.load_into(network)
    before = learner.matcher.network.state_dict()
    changed = {
        name for name, one in network.state_dict().items() if not torch.equal(one, before[name])
    }
    assert changed == {"itm_head.weight", "itm_head.bias"}
    for rates, frozen in (({"text_encoder": 1e-4}, ["text"]), ({"crf": 1e-4}, [])):
        odd = settings(
            models["blip"], data, tmp_path, frozen=frozen, loop={**LOOP, "learning_rates": rates}
        )
        with pytest.raises(UserError, match="learning_rates: no parameter's name begins with"):
            trainee(odd)


@pytest.mark.slow
def test_a_system_takes_what_it_does_not_say_from_the_folder(
    folder: Path, data: Path, tmp_path: Path
) -> None:
    own = MatcherSettings(query="{mention} is belong {label}", threshold=0.4, temperature=1.5)
    own.write(folder)
    dev = open_dataset(str(data), split="dev")
    cases: list[tuple[dict[str, Any], float, list[str]]] = [
        ({}, 0.4, ["temperature 1.5, calibrated with it, and the threshold 0.4, calibrated"]),
        ({"threshold": 0.7}, 0.7, ["the threshold 0.7, of this system"]),
        ({"query": "{label}"}, 0.4, ["threshold 0.4", "and is asked with '{label}'"]),
    ]
    for number, (said, threshold, notes) in enumerate(cases):
        system = tmp_path / f"{number}.yaml"
        entail = {"backend": "itm", "model": str(folder), "device": "cpu", **said}
        values = {"name": "mine", "tag": {"backend": "gold"}, "entail": entail}
        system.write_text(json.dumps(values))
        run = tmp_path / f"run-{number}"
        report = load_system(system).run(dev, out=run)
        assert len(report.notes) == len(notes)
        for note, part in zip(report.notes, notes, strict=True):
            assert note.startswith("entail: ")
            assert part in note
        resolved = (run / "config.yaml").read_text(encoding="utf-8")
        assert f"threshold: {threshold}\n" in resolved, "so that riveg calibrate knows it"
    known = entailed(folder, data, "itm", query=own.query, threshold=0.4)
    assert entailed(folder, data, "itm") == known
    (folder / "entailment.json").write_text('{"query": "{name}"}')
    with pytest.raises(UserError, match=r"entailment\.json: is not of riveg train entailer-itm"):
        entailed(folder, data, "itm")


def test_a_published_model_is_asked_as_ever(models: Mapping[str, Path]) -> None:
    config = ItmEntailerConfig(model=models["blip"].name)
    settled = config.settled(models["blip"].parent)
    assert (settled.query, settled.threshold) == ("{expression}", 0.5)
    assert config.notes(models["blip"].parent) == ()


def test_the_same_picture_is_in_a_batch_once(models: Mapping[str, Path], data: Path) -> None:
    learner = trainee(settings(models["siglip2"], data, Path("out")))
    batch = learner.batch(learner.rows()[:4], None)  # type: ignore[arg-type]
    assert batch["places"].tolist() == [0, 0, 1, 1]
    assert batch["image.pixel_values"].shape[0] == 2
    assert batch["shown"].tolist() == [1, 0, 1, 0]


TEMPLATE = "{mention}({label})-{expression}"


def rewritten(data: Path, folder: Path, split: str) -> Path:
    """A run that has an expression for the first mention of each post."""
    samples = []
    for sample, gold in read_annotated(str(data), split).pairs:
        entities = tuple(
            Entity(
                f"e{number}",
                one.text,
                one.label,
                one.span,
                expression=None if number else f"the man in {sample.id}",
            )
            for number, one in enumerate(gold.entities)
        )
        samples.append(replace(sample, entities=entities))
    return make_run(folder / split, samples, images=folder / "images", stages=("tag", "rewrite"))


def test_expressions_come_from_runs(models: Mapping[str, Path], data: Path, tmp_path: Path) -> None:
    runs = [rewritten(data, tmp_path, split) for split in ("train", "dev")]
    heard = Heard()
    learner = trainee(
        settings(models["blip"], data, tmp_path, query=TEMPLATE, expressions=runs), heard
    )
    texts = [row.text for row in learner.rows()[:2]]
    assert texts == ["Ann(PER)-the man in p0-0", "Rome(LOC)-Rome"]
    (told, _) = [note for note in heard.notes if "an expression" in note]
    assert told == (
        "drawn train: 14 of 28 mentions have an expression; of the others, for example 'Rome' of "
        "'p0-0', the mention stands for it"
    )
    one = settings(models["blip"], data, tmp_path, query=TEMPLATE, expressions=str(runs[0]))
    with pytest.raises(UserError, match=r"no mention of drawn dev .* --split dev` makes them"):
        trainee(one)
    with pytest.raises(ValidationError, match=r"query: {expression} is what a rewriter says"):
        settings(models["blip"], data, tmp_path, query=TEMPLATE)
    with pytest.raises(ValidationError, match="expressions have no effect"):
        settings(models["blip"], data, tmp_path, expressions=runs)


def test_what_cannot_be_learnt_from_is_told(models: Mapping[str, Path], tmp_path: Path) -> None:
    boxed = {"label": "PER", "start": 0, "end": 1, "boxes": [[0, 0, 9, 9]]}
    more = (
        {"id": "bare", "text": "Zoe", "entities": [boxed]},
        {"id": "broken", "text": "Zoe", "image": "cut.png", "entities": [boxed, boxed]},
        {"id": "unknown", "text": "Zoe", "image": "p0.png", "entities": [{**boxed, "boxes": None}]},
        {"id": "long", "text": "Zoe" * 30, "image": "p0.png", "entities": [boxed]},
    )
    data = write_posts(tmp_path, more=more)
    whole = (tmp_path / "images" / "p0.png").read_bytes()
    (tmp_path / "images" / "cut.png").write_bytes(whole[: len(whole) // 2])
    heard = Heard()
    learner = trainee(settings(models["blip"], data, tmp_path / "out"), heard)
    assert "drawn train: 8 of 15 mentions are shown (53.3%)" in heard.notes
    told = "\n".join(heard.notes)
    for part in (
        "drawn train: 1 posts have no picture, and are left out with their mentions",
        "drawn train: 1 pictures cannot be used, and their posts are left out with their mentions",
        "cut.png",
        "drawn train: of 1 mentions gold does not say",
        "drawn train: 1 texts are too long and were cut, as",
    ):
        assert part in told, part
    (tmp_path / "images" / "p0.png").unlink()
    with pytest.raises(UserError, match="it could be opened when the training began"):
        learner.batch(learner.rows()[:1], None)  # type: ignore[arg-type]


def test_data_of_one_class_is_refused(models: Mapping[str, Path], tmp_path: Path) -> None:
    data = write_posts(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "dev.jsonl").read_text().splitlines()]
    for boxes, message in (([], "none have a box"), ([[0, 0, 9, 9]], "all have a box")):
        for row in rows:
            for one in row["entities"]:
                one["boxes"] = boxes
        (tmp_path / "train.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        with pytest.raises(UserError, match=rf"drawn train: of 14 mentions .* {message}"):
            trainee(settings(models["blip"], data, tmp_path / "out"))


def test_data_of_which_nothing_is_left_says_why(models: Mapping[str, Path], tmp_path: Path) -> None:
    data = write_posts(tmp_path)
    config = settings(models["blip"], data, tmp_path / "out")
    unknown = {"label": "PER", "start": 0, "end": 1, "boxes": None}
    post = {"id": "a", "text": "Zoe", "image": "p0.png", "entities": [unknown]}
    (tmp_path / "train.jsonl").write_text(f"{json.dumps(post)}\n")
    with pytest.raises(UserError, match=r"no mention is left .* of 1 mentions gold does not"):
        trainee(config)
    post["entities"] = [{**unknown, "boxes": [[0, 0, 9, 9]]}]
    post["image"] = "gone.png"
    (tmp_path / "train.jsonl").write_text(f"{json.dumps(post)}\n")
    with pytest.raises(UserError, match=r"1 pictures cannot be used, .*gone\.png"):
        trainee(config)


def test_models_that_are_none_are_refused(
    models: Mapping[str, Path], data: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    headless = save_captioner(tmp_path / "captioner")
    broken = save_itm(tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    del weights["itm_head.bias"]
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"model_type": "bert"}')
    cases = [
        (headless, "captioner: lacks .* weights of a BlipForImageTextRetrieval"),
        (broken, "broken: lacks 1 weights of a BlipForImageTextRetrieval, for .* itm_head.bias"),
        (tmp_path / "other", "expected a model of type blip, blip-2, siglip, siglip2, found bert"),
        (Path("nobody/none"), "neither a folder nor in the cache of the hub; `hf download"),
    ]
    for model, message in cases:
        with pytest.raises(UserError, match=message):
            trainee(settings(model, data, tmp_path / "out"))
    with pytest.raises(ValidationError, match="no field 'name'"):
        settings(models["blip"], data, tmp_path, query="{name}")


def test_judged_mentions_keep_their_probability() -> None:
    """A threshold of dev is applied to the rounded, calibrated number that a run has."""
    from riveg.training.entailer_itm.data import MatchRow
    from riveg.training.entailer_itm.figures import calibrate, tally
    from riveg.types import ImageRef

    image = ImageRef("a.png")
    judged = [
        Judged(MatchRow(image, "a", is_shown, "PER", post), probability)
        for post, (probability, is_shown) in enumerate(
            [(0.02, False), (0.05, False), (0.11, True), (0.2, True), (0.04, True), (0.3, True)]
        )
    ]
    found = calibrate(judged, "{mention}")
    assert 0 < found.threshold < 1
    count = tally(judged, found).totals()["accuracy"]
    assert (count.hits, count.gold) == (5, 6)
