"""The systems gem and gem-gmner from end to end, on tiny models: run, resumed, scored, reported."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("accelerate", reason='needs the extra: pip install "riveg[train]"')

from helpers.fault_server import Running, fault_server
from helpers.places import ROOT
from helpers.tiny_blip import save_captioner, save_itm
from helpers.tiny_sam import save_sam2
from helpers.tiny_taggers import POSTS, save_encoder, write_dataset
from helpers.training import trained
from typer.testing import CliRunner, Result

from riveg.cli import app
from riveg.config.reader import load_config
from riveg.datasets.opening import open_dataset
from riveg.errors import MissingModel
from riveg.formats.records import decode
from riveg.runs.system import load_system
from riveg.training.crf_tagger.config import CrfTaggerTrainingConfig
from riveg.types import Sample

pytestmark = [pytest.mark.server, pytest.mark.slow]

LOOP = {"epochs": 10, "batch_size": 4, "learning_rate": 0.02, "device": "cpu", "threads": 1}


@dataclass(frozen=True)
class World:
    """Eight posts with pictures and fine types, tiny models, and a server for two of them."""

    home: Path
    server: Running

    @property
    def data(self) -> Path:
        return self.home / "data" / "tiny.yaml"

    def settings(self, level: str) -> list[str]:
        models = {
            "caption.model": "captioner",
            "tag.model": f"tagger-{level}",
            "entail.model": "itm",
            "ground.model": "itm",
            "ground.segmenter.model": "sam2",
            "segment.model": "sam2",
        }
        labels = "[{name: PER, fine: [person_actor, person_other]}, {name: LOC, fine: [city]}, "
        fine = [f"labels={labels}{{name: ORG, fine: [company]}}]"] if level == "both" else []
        return [
            *fine,
            *(f"{key}={self.home / name}" for key, name in models.items()),
            *("llm.main.serve=null", f"llm.main.base_urls=[{self.server.url}]"),
            *("llm.reranker.serve=null", f"llm.reranker.base_urls=[{self.server.url}]"),
            *("llm.reranker.adapter=null", "rerank.gamma=0", "run.part_size=2"),
            # Whatever a random network says: something is to be grounded.
            "entail.threshold=0",
            # Tiny networks read few tokens and have two layers.
            *("caption.max_new_tokens=4", "ground.layer=1", "ground.heat=true"),
        ]

    def run(self, system: str, level: str, out: Path, until: str | None = None) -> Path:
        with load_system(system, *self.settings(level)) as live:
            live.run(open_dataset(str(self.data), split="dev"), out=out, until=until)
        return out


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("gem")
    save_captioner(home / "captioner")
    save_itm(home / "itm")
    save_sam2(home / "sam2")
    data = write_dataset(home / "data")
    (home / "data" / "images").mkdir()
    pictures = sorted((ROOT / "data" / "quickstart" / "images").glob("*.jpg"))
    for number, picture in zip(range(len(POSTS)), pictures, strict=False):
        shutil.copy(picture, home / "data" / "images" / f"{number}.jpg")
    values = json.loads(data.read_text())
    data.write_text(json.dumps({**values, "images": ["images"]}))
    encoder = save_encoder(home / "encoder", "bert")
    for level in ("coarse", "both"):
        settings = {"data": str(data), "model": str(encoder), "out": home / f"tagger-{level}"}
        more = {"level": level, "knowledge": "appended", "dropout": 0.0, "max_pieces": 60}
        trained(CrfTaggerTrainingConfig.model_validate({**settings, **more, "loop": LOOP}))
    with fault_server(home / "counts") as server:
        yield World(home, server)


@pytest.fixture(scope="module")
def unbroken(world: World) -> Path:
    return world.run("gem", "both", world.home / "unbroken")


def samples_of(run: Path) -> list[Sample]:
    return [decode(Sample, line) for line in (run / "records.jsonl").read_bytes().splitlines()]


def riveg(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_every_stage_has_answers(unbroken: Path) -> None:
    samples = samples_of(unbroken)
    assert all(sample.caption for sample in samples)
    assert all(sample.knowledge for sample in samples)
    entities = [entity for sample in samples for entity in sample.entities or ()]
    assert len(entities) >= 10
    fine = {entity.fine_label for entity in entities}
    assert fine <= {"person_actor", "person_other", "city", "company"}
    assert len(fine) > 1
    assert all(entity.entailment is not None for entity in entities)
    regions = [region for entity in entities for region in entity.regions or ()]
    assert len(regions) >= 5
    assert {region.source for region in regions} == {"itm-gradcam"}
    assert all(region.heat is not None and region.mask is not None for region in regions)
    manifest = json.loads((unbroken / "manifest.json").read_text())
    stages = ("caption", "augment", "tag", "rerank", "entail", "ground", "segment")
    assert tuple(manifest["stages"]) == stages


def test_a_run_that_stopped_goes_on_to_the_same_bytes(world: World, unbroken: Path) -> None:
    other = world.run("gem", "both", world.home / "stopped", until="ground")
    parts = sorted(other.glob("*-ground/part-*"))
    assert len(parts) == 4
    parts[1].unlink()
    parts[2].write_bytes(parts[2].read_bytes()[:-40])
    kept = parts[0].stat().st_mtime_ns
    asked = world.server.counts()
    world.run("gem", "both", other)
    assert world.server.counts() == asked, "nothing is asked twice"
    assert parts[0].stat().st_mtime_ns == kept
    assert (other / "records.jsonl").read_bytes() == (unbroken / "records.jsonl").read_bytes()


def test_it_is_scored_reported_and_drawn(world: World, unbroken: Path, tmp_path: Path) -> None:
    scored = riveg("eval", unbroken, "--gold", world.data, "--split", "dev")
    assert scored.exit_code == 0, scored.output
    assert "FMNERG" in scored.output
    done = riveg("report", unbroken, "--out", tmp_path / "report.html")
    assert done.exit_code == 0, done.output
    assert '"heat":"data:image/png;base64,' in (tmp_path / "report.html").read_text()
    sample = next(
        sample.id
        for sample in samples_of(unbroken)
        if any(entity.regions for entity in sample.entities or ())
    )
    plain, hot = tmp_path / "plain.png", tmp_path / "hot.png"
    for path, more in ((plain, ()), (hot, ("--heat",))):
        shown = riveg("show", "run", unbroken, "--id", sample, "--image", path, *more)
        assert shown.exit_code == 0, shown.output
    assert plain.read_bytes() != hot.read_bytes()


def test_on_coarse_types(world: World) -> None:
    samples = samples_of(world.run("gem-gmner", "coarse", world.home / "coarse"))
    entities = [entity for sample in samples for entity in sample.entities or ()]
    assert len(entities) >= 10
    assert {entity.fine_label for entity in entities} == {None}
    assert any(entity.regions for entity in entities)


def test_one_post_shares_the_networks(world: World) -> None:
    picture = world.home / "data" / "images" / "0.jpg"
    with load_system("gem", *world.settings("both")) as live:
        found: Any = live.predict(POSTS[0][0], picture)
        runners: Any = {runner._stage.name: runner._backend for runner in live._runners or ()}
    assert found.entities
    assert runners["ground"]._finder._heat._matcher is runners["entail"]._matcher
    assert runners["ground"]._finder._segmenter is runners["segment"]._network


@pytest.mark.parametrize("system", ["gem", "gem-gmner"])
def test_what_has_to_be_trained_is_told(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)
    commands = trainings(system)
    assert [command.split()[2] for command in commands] == ["vlm", "crf-tagger", "entailer-itm"]
    listed = riveg("fetch", system, "--list").output
    for command in commands:
        assert listed.count(f"nobody has published it; make it with: {command}") == 1
    validated = riveg("validate", system)
    assert validated.exit_code == 0, validated.output
    for command in commands:
        assert f"make it with `{command}`" in validated.output
    refused = riveg("run", system, "--out", tmp_path / "run").exception
    assert isinstance(refused, MissingModel)
    for command in commands:
        assert f"({command})" in str(refused)


def trainings(system: str) -> Sequence[str]:
    config = load_config(system)
    steps: dict[str, Any] = {step.stage.name: step.config for step in config.steps}
    trained_by = (config.llm["reranker"], steps["tag"], steps["entail"], steps["ground"])
    return list(dict.fromkeys(str(one.trained_by) for one in trained_by))
