"""``riveg train vlm`` on tiny models: posts are learnt by heart, and the folder answers them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("accelerate", reason='needs the extra: pip install "riveg[train]"')
pytest.importorskip("peft", reason='needs the extra: pip install "riveg[train]"')

from helpers.command_line import riveg
from helpers.drawn_posts import LABELS, write_posts
from helpers.places import ROOT
from helpers.real_servers import ENVIRONMENT, require_package
from helpers.tiny_vision_language import KINDS, make_tiny_vision_language_model
from helpers.tiny_vlm_training import ASK, LOOP, settings
from helpers.torchvision_on_cpu import FOLDER, needs_torchvision
from helpers.training import Heard, trained

from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.evaluation.evaluate import EvaluationOptions, evaluate
from riveg.evaluation.gold import read_gold
from riveg.evaluation.predictions import predictions_of_run
from riveg.runs.building import ANSWERS
from riveg.training.config import Course
from riveg.training.settings import read_settings
from riveg.training.vlm.config import VlmTrainingConfig
from riveg.training.vlm.jitter_sheet import jitter_sheet
from riveg.training.vlm.trainee import VlmTrainee

pytestmark = pytest.mark.usefixtures("one_thread")

BY_HEART = {**LOOP, "epochs": 6, "save_steps": None}
"""Twenty steps an epoch, on the eight posts twenty times."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return {
        kind: make_tiny_vision_language_model(tmp_path_factory.mktemp(kind), kind) for kind in KINDS
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_posts(tmp_path_factory.mktemp("data"), repeats=20)


@pytest.fixture(scope="module")
def merged(
    models: Mapping[str, Path], data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with whole weights, by the command, from a YAML file."""
    folder = tmp_path_factory.mktemp("merged")
    config = settings(models["qwen2_5_vl"], data, folder / "out", jitter=None, loop=BY_HEART)
    values = json.loads(config.model_dump_json(exclude={"merge"}, exclude_none=True))
    (folder / "vlm.yaml").write_text(yaml.safe_dump(values))
    done = riveg("train", "vlm", folder / "vlm.yaml", "--merge")
    assert done.returncode == 0, done.stderr
    return folder / "out"


def asked_again(base: Path, folder: Path, data: Path, **more: Any) -> Mapping[str, float]:
    """F1 of what a folder answers, loaded as anybody would load it."""
    config = settings(base, data, folder / "again", **more)
    learner = VlmTrainee(config, Course(config, config.out, config.out, Heard()))
    return learner.evaluate(learner.network().eval())


@pytest.mark.slow
def test_eight_posts_are_learnt_by_heart_and_the_merged_weights_answer_alike(
    merged: Path, data: Path
) -> None:
    card = (merged / "CARD.md").read_text(encoding="utf-8")
    for figure in ("mner", "gmner", "e2e_gmner"):
        assert f"| {figure} | 100.00 | [100.0, 100.0] | 100.00 | 100.00 |" in card
    names = {path.name for path in merged.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"} <= names
    assert not names & {"adapter_model.safetensors", "adapter_config.json"}
    said = json.loads((merged / "preprocessor_config.json").read_text())
    assert said["size"] == {"shortest_edge": 784, "longest_edge": 25088}
    # New matrices change nothing before they have learnt.
    figures = asked_again(merged, merged, data)
    assert figures["gmner"] == figures["e2e_gmner"] == figures["answered"] == 100


@pytest.mark.slow
def test_an_adapter_answers_beside_its_base(
    models: Mapping[str, Path], data: Path, tmp_path: Path
) -> None:
    base = models["qwen3_vl"]
    ask = {**ASK, "frame": "norm1000"}
    out = tmp_path / "out"
    folder = trained(settings(base, data, out, jitter=None, loop=BY_HEART, extract=ask))
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    assert "| gmner | 100.00 | [100.0, 100.0] | 100.00 | 100.00 |" in card
    assert "| e2e_gmner | 100.00 |" in card
    said = json.loads((folder / "adapter_config.json").read_text())
    assert (said["r"], said["lora_alpha"], said["base_model_name_or_path"]) == (32, 64, str(base))
    assert not (folder / "config.json").exists(), "nobody should take it for a whole model"
    assert asked_again(base, folder, data, extract=ask, adapter=str(folder))["gmner"] == 100
    assert asked_again(base, folder, data, extract=ask)["gmner"] < 50, "the base knows nothing"
    other = make_tiny_vision_language_model(tmp_path / "wide", "qwen3_vl", width=128)
    with pytest.raises(UserError, match=r"is an adapter for a model of width 64 .* has 128"):
        asked_again(other, folder, data, extract=ask, adapter=str(folder))
    (folder / "adapter_config.json").write_text(json.dumps(said | {"r": 8}))
    with pytest.raises(UserError, match="the adapter does not fit"):
        asked_again(base, folder, data, extract=ask, adapter=str(folder))
    with pytest.raises(UserError, match=r"expected a file adapter_model\.safetensors"):
        asked_again(base, folder, data, extract=ask, adapter=str(tmp_path))


@pytest.mark.slow
def test_a_training_that_is_killed_ends_with_the_same_bytes(
    models: Mapping[str, Path], tmp_path: Path
) -> None:
    """Boxes are moved and units dropped at random, and go on as if nothing had been."""
    data = write_posts(tmp_path / "data", repeats=2)
    model = models["qwen2_5_vl"]
    whole = trained(settings(model, data, tmp_path / "whole"))
    work = tmp_path / "broken.training"
    script = ROOT / "tests" / "helpers" / "tiny_vlm_training.py"
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    with subprocess.Popen(
        [sys.executable, script, model, data, tmp_path / "broken"],
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        while process.poll() is None and not any(work.glob("checkpoint-[3-5]/whole")):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    broken = trained(settings(model, data, tmp_path / "broken"), resume=True)
    log = (work / "training.log").read_text(encoding="utf-8")
    assert "goes on after step" in log
    name = "adapter_model.safetensors"
    assert (broken / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.slow
def test_boxes_are_drawn_and_nothing_is_trained(
    models: Mapping[str, Path], data: Path, tmp_path: Path
) -> None:
    config = settings(models["qwen2_5_vl"], data, tmp_path / "out")
    values = json.loads(config.model_dump_json(exclude_none=True))
    (tmp_path / "vlm.yaml").write_text(yaml.safe_dump({**values, "model": "not/fetched"}))
    done = riveg("train", "vlm", tmp_path / "vlm.yaml", "--show-jitter", "2")
    assert done.returncode == 0, done.stderr
    assert "160 boxes of 140 posts at one visit" in done.stdout
    assert "rejected 0.0%" in done.stdout
    assert len(list((tmp_path / "out.jitter").glob("*.png"))) == 2
    assert not (tmp_path / "out").exists()
    done = riveg(
        "train", "vlm", tmp_path / "vlm.yaml", "--show-jitter", "2", "--set", "jitter=null"
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "jitter: moves nothing" in done.stderr


@needs_torchvision
@pytest.mark.server
@pytest.mark.slow
def test_the_merged_weights_answer_behind_a_server(
    merged: Path, data: Path, tmp_path: Path
) -> None:
    """A run that is killed and goes on: the same prompt, frame and resizing, and F1 100."""
    python = require_package("uvicorn")
    script = ROOT / "tests" / "helpers" / "shimmed_transformers_serve.py"
    serve = {
        "engine": "transformers",
        "command": [str(python), str(script), FOLDER, "serve"],
        "arguments": ["--device", "cpu"],
        "environment": dict(ENVIRONMENT),
        "ready_timeout_s": 200,
    }
    main = {"model": str(merged), "serve": serve, "picture_side": 140, "concurrency": 1}
    system = {
        **{"name": "tiny", "data": str(data), "labels": list(LABELS), "llm": {"main": main}},
        "extract": {"backend": "chat", **ASK},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(system))
    run = tmp_path / "run"
    command = ("run", tmp_path / "tiny.yaml", "--split", "dev", "--out", run)
    with subprocess.Popen(
        [sys.executable, "-m", "riveg", *map(str, command)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None and not (run / ANSWERS).exists():
            time.sleep(0.02)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    done = riveg(*command)
    assert done.returncode == 0, done.stderr
    for rest in (("eval", run, "--protocol", "all"), ("report", run, "--out", tmp_path / "r.html")):
        told = riveg(*rest)
        assert told.returncode == 0, told.stderr
    gold = read_gold(open_dataset(str(data), split="dev"))
    options = EvaluationOptions(("canonical", "e2e"), resamples=10)
    found = evaluate(predictions_of_run(run), gold, options)
    for protocol in ("canonical", "e2e"):
        score = found.scores[protocol]["gmner"]
        assert score is not None
        assert score.f1 == 100


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "iou"), [("paper", 0.951), ("released", 0.851)])
def test_the_numbers_of_twitter_gmner_need_no_pictures(
    preset: str, iou: float, tmp_path: Path
) -> None:
    root = os.environ.get("RIVEG_TEST_DATA")
    if not root:
        pytest.skip("RIVEG_TEST_DATA is not set")
    values = yaml.safe_load((ROOT / "configs" / "datasets" / "twitter-gmner.yaml").read_text())
    values["root"], values["images"] = str(Path(root) / "twitter-gmner-v2"), ["nowhere"]
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(values))
    more = [f"data={tmp_path / 'data.yaml'}", f"out={tmp_path / 'out'}", f"preset={preset}"]
    config = read_settings(ROOT / "configs" / "train" / "e2e-gmner.yaml", VlmTrainingConfig, more)
    sheet = jitter_sheet(config, 3)
    assert (sheet.boxes, sheet.rejected, sheet.drawn) == (5723, 0, ())
    assert sheet.mean_iou == pytest.approx(iou, abs=0.002)
