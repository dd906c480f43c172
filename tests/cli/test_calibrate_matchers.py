"""From a run with tiny matchers over dev to a run with their calibrated thresholds."""

import json
from pathlib import Path

import pytest
from helpers.command_line import riveg
from helpers.samples_on_the_fly import make_dev
from helpers.tiny_blip import save_itm
from helpers.tiny_owlv2 import save_owlv2
from helpers.tiny_siglip import save_siglip

SYSTEM = """\
name: matched
description: a gate and a re-check by matchers
tag: mini
entail: {{backend: {gate}, model: {gate}, device: cpu, threshold: 0}}
ground:
  backend: owlv2
  model: owlv2
  device: cpu
  box_threshold: 0
  regions: {regions}
  recheck: {recheck}
"""
RECHECK = "{matcher: siglip, model: siglip, device: cpu, threshold: 0}"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    save_siglip(tmp_path / "siglip")
    save_itm(tmp_path / "itm")
    save_owlv2(tmp_path / "owlv2")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gate", "recheck", "detector"),
    [
        ("siglip", RECHECK, "ground.recheck.threshold"),
        ("itm", RECHECK, "ground.recheck.threshold"),
        ("siglip", "null", "ground.box_threshold"),
    ],
)
def test_calibrated_thresholds_shape_the_next_run(
    here: Path, gate: str, recheck: str, detector: str
) -> None:
    dev = make_dev(here, 10)
    (here / "mine.yaml").write_text(SYSTEM.format(gate=gate, regions="many", recheck=recheck))
    run = ("run", "mine.yaml", "--data", dev, "--overlays", "0")
    opened = riveg(*run, "--out", "open", cwd=here)
    assert opened.returncode in {0, 1}, opened.stderr
    done = riveg("calibrate", "open", "--gold", dev, "--name", "mine", "--no-plot", cwd=here)
    assert done.returncode == 0, done.stderr
    assert "this run tells the rest" not in done.stdout
    found = json.loads((here / "artifacts" / "mine.json").read_text())
    keys = ("entail.threshold", detector)
    assert tuple(found["values"]) == keys
    assert found["backends"].get("ground.recheck") == ("siglip" if recheck == RECHECK else None)
    overrides = [word for key in keys for word in ("--set", f"{key}=@mine")]
    assert " ".join(overrides) in done.stdout
    tuned = riveg(*run, *overrides, "--out", "tuned", cwd=here)
    assert tuned.returncode in {0, 1}, tuned.stderr
    manifest = json.loads((here / "tuned" / "manifest.json").read_text())
    values = {key: item["value"] for key, item in manifest["artifacts"].items()}
    assert values == found["values"]
    scored = riveg("eval", "tuned", "--gold", dev, "--json", "-", cwd=here)
    hits = json.loads(scored.stdout)["scores"]["canonical"]["gmner"]["hits"]
    assert hits == found["scores"]["after"]["hits"]


@pytest.mark.slow
def test_where_one_region_was_kept_the_others_are_to_be_run(here: Path) -> None:
    dev = make_dev(here, 5)
    (here / "mine.yaml").write_text(SYSTEM.format(gate="siglip", regions="one", recheck=RECHECK))
    opened = riveg("run", "mine.yaml", "--data", dev, "--overlays", "0", "--out", "open", cwd=here)
    assert opened.returncode in {0, 1}, opened.stderr
    done = riveg("calibrate", "open", "--gold", dev, "--name", "mine", "--no-plot", cwd=here)
    assert done.returncode == 0, done.stderr
    assert "--set ground.regions=many" in done.stdout
