"""The re-check of regions as a part of a detector's settings: defaults, overrides, artifacts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from riveg.checkpoints.fetching import system_models
from riveg.config.reader import load_config
from riveg.config.system import SystemConfig
from riveg.config.yaml_file import InvalidConfig
from riveg.runs.system import resolved_text
from riveg.stages.grounders.owlv2 import Owlv2Config
from riveg.stages.table import GROUND

SYSTEM = """\
name: mine
description: a detector that looks again
tag: mini
ground:
  backend: {detector}
  recheck:
    {recheck}
"""
DETECTORS = ("grounding-dino", "owlv2")


def system(folder: Path, recheck: str = "matcher: siglip", detector: str = "owlv2") -> Path:
    path = folder / "mine.yaml"
    path.write_text(SYSTEM.format(detector=detector, recheck=recheck))
    return path


def recheck_of(config: SystemConfig) -> dict[str, Any]:
    found: dict[str, Any] = config.resolved()["ground"]["recheck"]
    return found


def detector_of(config: SystemConfig) -> Owlv2Config:
    (found,) = [step.config for step in config.steps if step.stage is GROUND]
    assert isinstance(found, Owlv2Config)
    return found


def write_artifact(folder: Path, **changes: Any) -> None:
    content = {
        "kind": "calibration",
        "schema": 1,
        "name": "mine",
        "values": {"ground.recheck.threshold": 0.0125},
        "backends": {"ground": "owlv2", "ground.recheck": "siglip"},
        **changes,
    }
    (folder / "artifacts").mkdir(exist_ok=True)
    (folder / "artifacts" / "mine.json").write_text(json.dumps(content))


@pytest.mark.parametrize("detector", DETECTORS)
def test_what_is_usual_depends_on_the_matcher(tmp_path: Path, detector: str) -> None:
    siglip = recheck_of(load_config(system(tmp_path, detector=detector)))
    assert (siglip["model"], siglip["threshold"]) == ("google/siglip2-base-patch16-224", 0.1)
    itm = recheck_of(load_config(system(tmp_path, "matcher: itm", detector)))
    assert (itm["model"], itm["threshold"]) == ("Salesforce/blip-itm-base-coco", 0.5)
    mine = recheck_of(load_config(system(tmp_path, "{matcher: itm, threshold: 0.7}", detector)))
    assert (mine["model"], mine["threshold"]) == ("Salesforce/blip-itm-base-coco", 0.7)


def test_a_detector_offers_more_where_it_is_looked_at_again() -> None:
    def most(*overrides: str) -> int:
        config = load_config("quickstart", ["ground.backend=owlv2", *overrides])
        return detector_of(config).most_regions

    assert most() == 1
    assert most("ground.regions=many", "ground.top_k=3") == 3
    assert most("ground.recheck.matcher=siglip", "ground.top_k=3") == 3


def test_one_value_of_it_can_be_set(tmp_path: Path) -> None:
    path = system(tmp_path, "{matcher: itm, margin: 0.3}")
    found = recheck_of(load_config(path, ["ground.recheck.threshold=0.25"]))
    assert (found["matcher"], found["margin"], found["threshold"]) == ("itm", 0.3, 0.25)
    overrides = ["ground.recheck.margin=0.2", "ground.recheck={matcher: siglip}"]
    found = recheck_of(load_config(path, overrides))
    assert (found["matcher"], found["margin"]) == ("siglip", 0.2)
    assert recheck_of(load_config(path, ["ground.recheck=null"])) is None


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("ground.recheck.treshold=1", "did you mean threshold?"),
        ("ground.recheck.threshold=2", "less than or equal to 1"),
        ("ground.recheck.matcher=clip", "Known: itm, siglip"),
        ("ground.recheck.query=a {name}", "no field 'name'"),
        ("ground.recheck.workers=2", "a re-check has no workers"),
        ("ground.top_k.x=1", "valid integer"),
        ("ground.workers=-1", "auto or a number of processes"),
        ("ground.device=gpu", "cuda or cuda:N"),
        ("ground.recheck.threshold.x=1", "STAGE.KEY.KEY=VALUE"),
        ("run.batch_size.x=1", "STAGE.KEY=VALUE"),
        ("ground.recheck.threshold=@gone", "no artifact"),
        ("ground.recheck.query=@gone", "has to hold"),
    ],
)
def test_a_wrong_value_is_told(tmp_path: Path, override: str, word: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load_config(system(tmp_path), [override])
    (problem,) = caught.value.problems
    assert word in str(problem)


def test_a_wrong_value_in_a_file_has_its_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load_config(system(tmp_path, "margin: wide"))
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (7, "ground.recheck.margin")


def test_the_threshold_may_come_from_an_artifact(tmp_path: Path) -> None:
    write_artifact(tmp_path)
    config = load_config(system(tmp_path, 'threshold: "@mine"'))
    assert recheck_of(config)["threshold"] == 0.0125
    (item,) = config.artifacts
    assert (item.key, item.value) == ("ground.recheck.threshold", 0.0125)
    text = resolved_text(config)
    assert item.digest in text
    (tmp_path / "again.yaml").write_text(text)
    assert load_config(tmp_path / "again.yaml").resolved() == config.resolved()


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        (["ground.recheck.matcher=itm"], "found for ground.recheck: siglip, not for itm"),
        (["ground.backend=grounding-dino"], "found for ground: owlv2, not for grounding-dino"),
    ],
)
def test_an_artifact_of_another_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str], word: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_artifact(tmp_path)
    with pytest.raises(InvalidConfig, match=word):
        load_config(system(tmp_path), [*overrides, "ground.recheck.threshold=@mine"])


def test_its_model_is_one_of_the_system_s(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    config = load_config(system(tmp_path, "{matcher: itm, model: mine, licence: mit}"))
    detector, recheck = system_models(config)
    assert (detector.used_by, detector.setting) == ("ground", "model")
    assert (recheck.used_by, recheck.setting) == ("ground", "recheck.model")
    assert (recheck.model, recheck.licence) == ("mine", "mit")
    assert recheck.folder == tmp_path / "mine"


def test_a_model_that_was_carried_here_is_named_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "owner" / "name").mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    overrides = [f"ground.{key}=models/owner/name" for key in ("model", "recheck.model")] + [
        "ground.revision=models"
    ]
    config = load_config(system(elsewhere), overrides)
    here = str(tmp_path / "models" / "owner" / "name")
    detector = detector_of(config)
    assert detector.model == here
    assert detector.recheck is not None
    assert detector.recheck.model == here
    assert detector.revision == "models"
    assert [one.folder for one in system_models(config)] == [Path(here), Path(here)]
    config = load_config(system(elsewhere), ["ground.model=owner/name"])
    assert config.resolved()["ground"]["model"] == "owner/name", "of the hub"
