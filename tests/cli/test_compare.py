"""Two runs side by side, as they are printed."""

import json
import re
from pathlib import Path

import pytest
import typer
from helpers.factories import make_sample
from helpers.run_folders import make_run
from helpers.samples_on_the_fly import write_samples
from typer.testing import CliRunner

from riveg.cli.compare import compare
from riveg.errors import UserError
from riveg.types import Sample

app = typer.Typer()
app.command()(compare)


def samples(*labels: str) -> list[Sample]:
    return [
        make_sample("Ada spoke", [(0, 1, label)], id=f"s{number}")
        for number, label in enumerate(labels)
    ]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    entities = [{"label": "PER", "start": 0, "end": 1, "boxes": []}]
    posts = [{"id": f"s{n}", "text": "Ada spoke", "entities": entities} for n in range(3)]
    write_samples(tmp_path / "dev.jsonl", posts)
    overrides = ["entail=none", "ground=none", "segment=none"]
    for name, labels in (("a", ["PER", "ORG", "ORG"]), ("b", ["ORG", "PER", "ORG", "PER"])):
        make_run(tmp_path / name, samples(*labels), overrides=overrides, data="dev")
    return tmp_path


def printed(*arguments: str) -> str:
    done = CliRunner().invoke(app, [*arguments, "--gold", "dev.jsonl"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_what_is_printed(runs: Path) -> None:
    text = printed("a", "b")
    assert max(map(len, text.splitlines())) <= 80
    for words in (
        "compared  3 samples that both have",
        "left out  1 sample of B without gold",
        "wrong-type -> right",
        "still wrong: 1",
    ):
        assert words in text
    assert re.search(r"^mner +33\.33 +33\.33 +\+0\.00 +\[", text, re.MULTILINE)
    assert "95 % of B - A" in text
    # Neither run looked for places.
    assert re.search(r"^gmner +not scored *$", text, re.MULTILINE)
    assert "A: the predictions are tags only" in text
    assert "entities, by MNER verdict under A and B" in text
    assert "Ada" not in printed("a", "b", "--show", "0")


def test_the_document(runs: Path) -> None:
    document = json.loads(printed("a", "b", "--metric", "mner", "--json", "-"))
    assert document["schema"] == "riveg-comparison-1"
    assert list(document["metrics"]) == ["mner"]
    assert document["metrics"]["mner"]["p"] > 0.5
    assert len(document["entities"]) == 3
    printed("a", "b", "--metric", "mner", "--json", "kept.json")
    assert json.loads((runs / "kept.json").read_text()) == document


def test_a_metric_that_is_not_there_is_one_line(runs: Path) -> None:
    with pytest.raises(UserError, match="--metric gmner: not scored here"):
        printed("a", "b", "--metric", "gmner")
