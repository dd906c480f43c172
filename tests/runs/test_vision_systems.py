"""The systems on torch from end to end, on tiny models that lie under the published names."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from helpers.fault_server import fault_server
from helpers.hub_cache import put_in_cache
from helpers.places import ROOT
from helpers.tiny_blip import save_itm
from helpers.tiny_grounding_dino import save_grounding_dino
from helpers.tiny_sam import save_sam, save_sam2
from helpers.tiny_siglip import save_siglip

pytestmark = pytest.mark.slow

QUICKSTART = ROOT / "data" / "quickstart"
MODELS = {
    "Salesforce/blip-itm-base-coco": save_itm,
    "google/siglip2-base-patch16-224": save_siglip,
    "IDEA-Research/grounding-dino-tiny": save_grounding_dino,
    "IDEA-Research/grounding-dino-base": save_grounding_dino,
    "facebook/sam-vit-huge": save_sam,
    "facebook/sam2.1-hiera-tiny": save_sam2,
    "facebook/sam2.1-hiera-large": save_sam2,
}
SIX_PARTS = ("--set", "run.part_size=2", "--set", "run.overlays=0")

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Riveg:
    """The command line where the hub's cache holds nothing but the tiny models."""

    home: Path

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "HF_HOME": str(self.home),
            "HF_HUB_OFFLINE": "1",
            "COLUMNS": "80",
        }

    def __call__(self, *words: str | Path, options: tuple[str, ...] = ()) -> Done:
        done = self.tried(*words, options=options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def tried(self, *words: str | Path, options: tuple[str, ...] = ()) -> Done:
        return subprocess.run(
            self.command(*words, options=options),
            capture_output=True,
            check=False,
            text=True,
            cwd=self.home,
            env=self.environment(),
            timeout=300,
        )

    def command(self, *words: str | Path, options: tuple[str, ...] = ()) -> list[str]:
        return [sys.executable, *options, "-m", "riveg", *map(str, words)]


@pytest.fixture(scope="module")
def riveg(tmp_path_factory: pytest.TempPathFactory) -> Riveg:
    home = tmp_path_factory.mktemp("home")
    for model, save in MODELS.items():
        put_in_cache(home, model, save)
    return Riveg(home)


@pytest.fixture(scope="module")
def unbroken(riveg: Riveg) -> Path:
    """A run of cpu, all of whose models are on torch, over the samples that come with riveg."""
    riveg("run", "cpu", "--out", riveg.home / "unbroken", *SIX_PARTS)
    return riveg.home / "unbroken"


@pytest.fixture
def run(unbroken: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return shutil.copytree(unbroken, tmp_path / "run")


def records(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]


def entities(run: Path) -> Iterator[dict[str, Any]]:
    for record in records(run):
        yield from record.get("entities", ())


def regions(run: Path) -> list[dict[str, Any]]:
    return [region for entity in entities(run) for region in entity.get("regions", ())]


def answers(run: Path) -> dict[str, bytes]:
    """What a run says: its records and those of each stage."""
    parts = [*run.glob("*/part-*.jsonl"), run / "records.jsonl", run / "failed.jsonl"]
    return {str(path.relative_to(run)): path.read_bytes() for path in parts}


def written(run: Path) -> dict[str, set[int]]:
    """When each stage's parts were written."""
    return {
        stage.name.partition("-")[2]: {part.stat().st_mtime_ns for part in stage.iterdir()}
        for stage in run.iterdir()
        if stage.is_dir() and stage.name[0].isdigit()
    }


def remade(before: dict[str, set[int]], run: Path) -> set[str]:
    return {stage for stage, times in written(run).items() if times != before.get(stage)}


def widest(text: str) -> int:
    return max(map(len, text.splitlines()))


def test_every_stage_of_cpu_has_answers(unbroken: Path) -> None:
    found = list(entities(unbroken))
    assert len(found) > 20
    assert {one["entailment"]["source"] for one in found} == {"siglip"}
    assert {one["source"] for one in regions(unbroken)} == {"grounding-dino"}
    assert {one["mask"]["source"].partition(":")[0] for one in regions(unbroken)} == {"sam2"}
    assert not any(record.get("issues") for record in records(unbroken))
    stages = json.loads((unbroken / "manifest.json").read_text())["stages"]
    assert "model.safetensors" in stages["ground"]["contents"]


def test_a_killed_run_goes_on_to_the_same_bytes(
    riveg: Riveg, unbroken: Path, tmp_path: Path
) -> None:
    run = tmp_path / "killed"
    words = ("run", "cpu", "--out", run, *SIX_PARTS)
    with subprocess.Popen(
        riveg.command(*words), env=riveg.environment(), cwd=riveg.home, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 120
        while not (run / "4-ground" / "part-00000.jsonl").exists():
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert not (run / "records.jsonl").exists()
    before = written(run)
    riveg(*words)
    assert answers(run) == answers(unbroken)
    assert not {"tag", "rewrite", "entail"} & remade(before, run)


def test_a_second_run_loads_nothing(riveg: Riveg, run: Path) -> None:
    before = written(run)
    done = riveg("run", "cpu", "--out", run, *SIX_PARTS, options=("-X", "importtime"))
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "riveg.vision.detectors.grounding_dino_prompts" in imported
    assert not {"torch", "transformers"} & imported
    assert not remade(before, run)


def test_a_changed_threshold_redoes_boxes_and_masks_only(riveg: Riveg, run: Path) -> None:
    before, found = written(run), len(regions(run))
    riveg("run", "cpu", "--out", run, *SIX_PARTS, "--set", "ground.box_threshold=0.996")
    assert remade(before, run) == {"ground", "segment"}
    assert 0 < len(regions(run)) < found


def test_what_reads_runs_reads_this_one(riveg: Riveg, unbroken: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores.json"
    printed = riveg("eval", unbroken, "--gold", "quickstart", "--resamples", "10", "--json", scores)
    assert "SMNER" not in printed.stdout, "the posts have no gold masks"
    assert json.loads(scores.read_text())["scores"]["canonical"]["mner"]["hits"] > 10
    page = tmp_path / "page.html"
    riveg("report", unbroken, "--gold", "quickstart", "--out", page)
    assert "grounding-dino" in page.read_text(encoding="utf-8")
    riveg("export", unbroken, "--format", "smner", "--out", tmp_path / "smner")
    again = riveg("eval", tmp_path / "smner", "--gold", "quickstart", "--resamples", "10")
    assert "GMNER" in again.stdout
    shown = riveg("show", "run", unbroken)
    assert "grounding-dino" in shown.stdout
    assert widest(shown.stdout) <= 80


def test_two_segmenters_compared(riveg: Riveg, unbroken: Path, run: Path) -> None:
    before = written(run)
    riveg("run", "cpu", "--out", run, *SIX_PARTS, "--set", "segment=sam")
    assert remade(before, run) == {"segment"}
    assert {one["mask"]["source"].partition(":")[0] for one in regions(run)} == {"sam"}
    printed = riveg("compare", unbroken, run, "--gold", "quickstart", "--resamples", "10")
    assert "GMNER" in printed.stdout
    # Paths stay in one piece.
    told = printed.stdout.replace(str(unbroken.parent), "").replace(str(run.parent), "")
    assert widest(told) <= 80


def test_one_broken_image_is_one_issue(riveg: Riveg, tmp_path: Path) -> None:
    shutil.copy(QUICKSTART / "images" / "qs03-cat.jpg", tmp_path / "cat.jpg")
    (tmp_path / "broken.jpg").write_bytes((tmp_path / "cat.jpg").read_bytes()[:2000])
    samples = [
        {"id": name, "text": "Ada Lovelace in London", "image": image}
        for name, image in (("good", "cat.jpg"), ("bad", "broken.jpg"), ("bare", None))
    ]
    data = tmp_path / "posts.jsonl"
    data.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    words = ("run", "cpu", "--data", data, "--out", tmp_path / "run")
    done = riveg.tried(*words)
    assert done.returncode == 1, done.stderr
    good, bad, bare = records(tmp_path / "run")
    assert good["entities"][0]["regions"][0]["mask"]["source"].startswith("sam2")
    assert [issue["kind"] for issue in bad["issues"]] == ["truncated-image"]
    assert "regions" not in bad["entities"][0]
    assert bare["entities"][0]["regions"] == []
    assert (tmp_path / "run" / "overlays").is_dir()


def test_riveg_with_its_language_model(riveg: Riveg, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with fault_server(tmp_path / "counts") as server:
        served = ("--set", "llm.main.serve=null", "--set", f"llm.main.base_urls=[{server.url}]")
        riveg("run", "riveg", "--out", run, "--limit", "4", *served)
        asked = server.counts()
        before = written(run)
        riveg("run", "riveg", "--out", run, "--limit", "4", *served, "--set", "segment=sam")
        assert server.counts() == asked
    assert asked.total() > 5
    assert remade(before, run) == {"segment"}
    found = list(entities(run))
    assert {one["expression"] for one in found} == {"a red coat"}
    assert {one["entailment"]["source"] for one in found} == {"itm"}
    assert {one["mask"]["source"].partition(":")[0] for one in regions(run)} == {"sam"}


def test_grounded_sam_on_gold(riveg: Riveg, tmp_path: Path) -> None:
    run = tmp_path / "run"
    riveg("run", "grounded-sam", "--out", run, "--limit", "4")
    assert {one["source"] for one in regions(run)} == {"grounding-dino"}
    assert {one["mask"]["source"].partition(":")[0] for one in regions(run)} == {"sam"}
    assert any(len(one.get("regions", ())) > 1 for one in entities(run))
    printed = riveg("eval", run, "--gold", "quickstart", "--resamples", "10")
    assert "oracle" in printed.stdout


def test_grounded_sam_on_phrases(riveg: Riveg, tmp_path: Path) -> None:
    shutil.copy(QUICKSTART / "images" / "qs03-cat.jpg", tmp_path / "cat.jpg")
    data = tmp_path / "phrases.jsonl"
    data.write_text('{"id": "1", "text": "a man. a dog. a man", "image": "cat.jpg"}\n')
    run = tmp_path / "run"
    words = ["--set", "tag=phrases", "--set", "ground.box_threshold=0.05"]
    words += ["--set", "ground.text_threshold=0"]
    riveg("run", "grounded-sam", *words, "--data", data, "--out", run)
    man, dog, again = entities(run)
    assert [one["text"] for one in (man, dog, again)] == ["a man", "a dog", "a man"]
    assert {one["label"] for one in (man, dog, again)} == {"PHRASE"}
    assert man["regions"] == again["regions"]
    assert man["regions"] or dog["regions"]
    for form in ("coco", "triples", "labelstudio", "yolo-seg"):
        riveg("export", run, "--format", form, "--out", tmp_path / form)
    riveg("report", run, "--out", tmp_path / "page.html")
    assert (run / "overlays").is_dir()


def test_grounded_sam_on_one_image(riveg: Riveg) -> None:
    image = QUICKSTART / "images" / "qs03-cat.jpg"
    words = ("--set", "tag=phrases", "--text", "a man. a dog", "--image", image, "--json")
    done = riveg("predict", "--system", "grounded-sam", *words)
    assert [one["text"] for one in json.loads(done.stdout)["entities"]] == ["a man", "a dog"]


def test_the_models_of_each_system_are_shown(riveg: Riveg) -> None:
    done = riveg("show", "models")
    # Paths and commands are not cut, so that they can be copied.
    uncut = (str(riveg.home), "make it with: riveg train")
    lines = [line for line in done.stdout.splitlines() if not any(one in line for one in uncut)]
    assert max(map(len, lines)) <= 80
    for model in MODELS:
        assert model in done.stdout
    listed = riveg("fetch", "cpu", "--list")
    assert widest(listed.stdout) <= 80
    rows = [line.split() for line in listed.stdout.splitlines()[1:]]
    assert [row[0] for row in rows] == ["entail", "ground", "segment"]
    assert all(row[-1] == "kB" for row in rows), "here, so large"


@pytest.mark.parametrize("system", ["riveg", "cpu", "grounded-sam"])
def test_a_system_is_valid_where_its_models_are_not(
    riveg: Riveg, tmp_path: Path, system: str
) -> None:
    elsewhere = Riveg(tmp_path)
    done = elsewhere("validate", system)
    assert f"riveg fetch {system}" in done.stdout
    assert riveg("validate", system).stdout.count("to run it") == 0
    stopped = elsewhere.tried("run", system, "--out", tmp_path / "run", "--until", "ground")
    assert stopped.returncode == 2
    printed = stopped.stderr.splitlines()[-1]
    assert f"riveg fetch {system}, with the same --set" in printed
    assert len(printed) < 400


def test_every_missing_model_is_told_at_once(riveg: Riveg, tmp_path: Path) -> None:
    elsewhere = Riveg(tmp_path)
    asked = ("--set", "segment=sam", "--set", "ground.recheck.matcher=itm")
    sample = ("predict", "--text", "Ada in Paris", "--system", "cpu")
    for words in (("run", "cpu", "--out", tmp_path / "run"), sample):
        printed = elsewhere.tried(*words, *asked).stderr.splitlines()[-1]
        for one in (
            "entail.model google/siglip2-base-patch16-224",
            "ground.model IDEA-Research/grounding-dino-tiny",
            "ground.recheck.model Salesforce/blip-itm-base-coco",
            "segment.model facebook/sam-vit-huge",
        ):
            assert one in printed
    assert not (tmp_path / "run").exists()
    printed = elsewhere("validate", "cpu", *asked).stdout
    assert f"riveg fetch cpu {' '.join(asked)}" in printed, "these, and not the usual ones"


@pytest.mark.parametrize("system", ["riveg", "cpu", "grounded-sam"])
def test_a_system_is_valid_without_torch(tmp_path: Path, system: str) -> None:
    absent = "import sys; sys.modules.update(torch=None, transformers=None, safetensors=None)\n"
    command = f"{absent}from riveg.cli import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", command, "validate", system],
        capture_output=True,
        check=False,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('pip install "riveg[models]"') >= 2


def test_a_dry_run_needs_neither_models_nor_torch(tmp_path: Path) -> None:
    absent = "import sys; sys.modules.update(torch=None, transformers=None, safetensors=None)\n"
    command = f"{absent}from riveg.cli import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", command, "run", "riveg", "--dry-run", "--out", "run"],
        capture_output=True,
        check=False,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert "nothing was sent" in done.stdout
