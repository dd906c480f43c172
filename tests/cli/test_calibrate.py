"""From a run over dev to a run with its thresholds, as a person gives the commands."""

import json
import sys
from pathlib import Path

import pytest
from helpers.command_line import riveg
from helpers.factories import make_sample
from helpers.run_folders import make_run
from helpers.samples_on_the_fly import make_dev, write_samples
from typer.testing import CliRunner

from riveg.cli import app
from riveg.errors import MissingExtra, UserError
from riveg.types import Box, Entailment, Entity, Region, Sample, Span


@pytest.mark.slow
def test_calibrated_thresholds_shape_the_next_run(tmp_path: Path) -> None:
    dev = make_dev(tmp_path, 15)
    run = ("run", "quickstart", "--data", dev, "--set", "segment=none", "--overlays", "0")
    opened = riveg(*run, "--set", "entail.threshold=0", "--out", "open", cwd=tmp_path)
    assert opened.returncode == 0, opened.stderr
    done = riveg("calibrate", "open", "--gold", dev, "--name", "mine", "--no-plot", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines()[:9])) <= 80
    artifact = tmp_path / "artifacts" / "mine.json"
    found = json.loads(artifact.read_text())
    assert found["scores"]["after"]["hits"] >= found["scores"]["before"]["hits"]
    chosen = found["values"]["entail.threshold"]
    overrides = ("--set", "entail.threshold=@mine", "--set", "ground.threshold=@mine")
    assert " ".join(overrides) in done.stdout
    tuned = riveg(*run, *overrides, "--out", "tuned", cwd=tmp_path)
    assert tuned.returncode == 0, tuned.stderr
    manifest = json.loads((tmp_path / "tuned" / "manifest.json").read_text())
    assert manifest["artifacts"]["entail.threshold"]["name"] == "mine"
    assert manifest["artifacts"]["entail.threshold"]["value"] == chosen
    config = (tmp_path / "tuned" / "config.yaml").read_text()
    assert f"threshold: {chosen}" in config
    assert manifest["artifacts"]["entail.threshold"]["digest"] in config
    again = riveg("run", "tuned/config.yaml", "--data", dev, "--out", "again", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    records = [(tmp_path / name / "records.jsonl").read_bytes() for name in ("tuned", "again")]
    assert records[0] == records[1]
    scored = riveg("eval", "tuned", "--gold", dev, "--json", "-", cwd=tmp_path)
    hits = json.loads(scored.stdout)["scores"]["canonical"]["gmner"]["hits"]
    assert hits == found["scores"]["after"]["hits"]


def entity(number: int, probability: float, score: float) -> Entity:
    region = Region(Box(0, 0, 50, 50), score)
    return Entity(
        f"e{number}",
        "a",
        "PER",
        Span(number, number + 1),
        entailment=Entailment(probability, groundable=True),
        regions=(region,),
    )


def samples() -> list[Sample]:
    return [
        make_sample(
            "a b",
            id=f"s{number}",
            entities=(entity(0, number / 20, 0.9), entity(1, 0.99 - number / 40, number / 20)),
        )
        for number in range(20)
    ]


def write_gold(path: Path) -> Path:
    """The second word is never in the image; the first one is from the eighth sample on."""
    shown = {"boxes": [[0.0, 0.0, 50.0, 50.0]]}
    nowhere: dict[str, object] = {"boxes": []}
    return write_samples(
        path,
        [
            {
                "id": f"s{number}",
                "text": "a b",
                "entities": [
                    {"label": "PER", "start": 0, "end": 1, **(shown if number > 7 else nowhere)},
                    {"label": "PER", "start": 1, "end": 2, **nowhere},
                ],
            }
            for number in range(20)
        ],
    )


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    write_gold(tmp_path / "dev.jsonl")
    return make_run(tmp_path / "run", samples(), overrides=["entail.threshold=0"], data="dev")


def invoke(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_report_the_file_and_the_curve(run_folder: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    printed = invoke("calibrate", run_folder, "--gold", "dev.jsonl")
    for word in ("20 samples", "entail.threshold", "5-fold", "gain +", "artifacts/quickstart-dev"):
        assert word in printed
    path = run_folder.parent / "artifacts" / "quickstart-dev.json"
    assert json.loads(path.read_text())["samples"] == 20
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_the_threshold_of_a_tagger_is_tuned_for_mner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    write_gold(tmp_path / "dev.jsonl")
    found = [
        make_sample(
            "a b",
            id=f"s{number}",
            entities=(
                Entity("e0", "a", "PER", Span(0, 1), 0.9 - number / 100),
                Entity("e1", "b", "LOC", Span(1, 2), 0.3 + number / 100),
            ),
        )
        for number in range(20)
    ]
    make_run(tmp_path / "run", found, overrides=["tag=gliner", "tag.threshold=0.2"], data="dev")
    printed = invoke("calibrate", "run", "--gold", "dev.jsonl", "--metric", "mner")
    assert max(map(len, printed.splitlines()[:9])) <= 80
    for word in ("canonical MNER over 20 samples", "tag.threshold", "searched from", "gain +"):
        assert word in printed
    assert "--until tag --set tag.threshold=0 --out run-open" in printed
    assert "--set tag.threshold=@quickstart-dev-mner" in printed
    path = tmp_path / "artifacts" / "quickstart-dev-mner.json"
    assert json.loads(path.read_text())["values"] == {"tag.threshold": 0.6}
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_file_is_written_and_the_curve_is_missed(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    arguments = ["calibrate", str(run_folder), "--gold", "dev.jsonl"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "no curve: " in done.stderr
    assert "matplotlib" in done.stderr
    path = run_folder.parent / "artifacts" / "quickstart-dev.json"
    assert json.loads(path.read_text())["samples"] == 20
    assert not path.with_suffix(".png").exists()
    with pytest.raises(MissingExtra, match="matplotlib"):
        CliRunner().invoke(app, [*arguments, "--plot"], catch_exceptions=False)


def test_json_is_what_the_file_holds(run_folder: Path) -> None:
    printed = invoke(
        "calibrate",
        run_folder,
        "--gold",
        "dev.jsonl",
        "--out",
        "x/mine.json",
        "--json",
        "--no-plot",
    )
    assert json.loads(printed) == json.loads((run_folder.parent / "x" / "mine.json").read_text())
    assert json.loads(printed)["name"] == "mine"
    assert [path.name for path in (run_folder.parent / "x").iterdir()] == ["mine.json"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("calibrate", "run", "--gold", "quickstart"), "its split is called test"),
        (("calibrate", "gone", "--gold", "dev.jsonl"), "gone/records.jsonl: not there"),
        (("calibrate", "run", "--gold", "gone.jsonl"), "gone.jsonl"),
        (("calibrate", "run", "--gold", "dev.jsonl", "--name", "a/b"), "without a slash"),
        (("calibrate", "run", "--gold", "dev.jsonl", "--out", "dev.jsonl"), "a .json file"),
    ],
)
def test_a_mistake_leaves_no_file(run_folder: Path, arguments: tuple[str, ...], word: str) -> None:
    before = sorted(run_folder.parent.iterdir())
    with pytest.raises(UserError, match=word):
        CliRunner().invoke(app, [*arguments, "--no-plot"], catch_exceptions=False)
    assert sorted(run_folder.parent.iterdir()) == before
