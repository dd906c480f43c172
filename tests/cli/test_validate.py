"""``riveg validate``: what it passes can run, as far as its files go."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.places import ROOT

pytestmark = pytest.mark.slow  # every test starts processes


def validate(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "riveg", "validate", *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "COLUMNS": "200", "PYTHONPATH": str(ROOT)},
        cwd=folder,
    )


@pytest.mark.parametrize(
    ("override", "key", "word"),
    [
        ("rewrite.prompt=nope", "rewrite", "no prompt 'nope'"),
        ("rewrite.prompt=/etc/passwd.jinja", "rewrite", "cannot be read"),
        ("rewrite.prompt=mine.jinja", "rewrite", "'range', which is a function"),
        ("rewrite.prompt=doubled.jinja", "rewrite", "on a probe sample: "),
        ("tag.model=nope", "tag", "nope"),
        ("entail.model=nope", "entail", "nope"),
        ("ground.prior_file=nope.json", "ground", "nope.json"),
        ("caption={backend: recorded, files: [nope.txt]}", "caption", "nope.txt"),
        ("data=nope", "data", "no dataset 'nope'"),
        ("data=nope.jsonl", "data", "no such file"),
    ],
)
def test_what_cannot_run_is_not_right(tmp_path: Path, override: str, key: str, word: str) -> None:
    (tmp_path / "mine.jinja").write_text("{% block expression %}{{ range(2) }}{% endblock %}")
    (tmp_path / "doubled.jinja").write_text(
        "{% block expression %}{% set x = mention %}"
        + "{% set x = x ~ x %}" * 40
        + "{{ x }}{% endblock %}"
    )
    done = validate(tmp_path, "quickstart", "--set", override)
    assert done.returncode == 2, done.stdout
    problem, count = done.stderr.splitlines()
    assert problem.startswith(f"{key}: ")
    assert word in problem
    assert count == "1 problem"
    assert "is right" not in done.stdout


def test_everything_missing_is_reported_at_once(tmp_path: Path) -> None:
    done = validate(tmp_path, "quickstart", "--set", "tag.model=nope", "--set", "data=nope")
    assert done.returncode == 2
    assert "2 problems" in done.stderr


def test_paths_start_at_the_file_or_the_working_folder(tmp_path: Path) -> None:
    folder = tmp_path / "configs"
    folder.mkdir()
    prompt = "{% block expression %}{{ mention }}{% endblock %}"
    (folder / "rg.jinja").write_text(prompt)
    (folder / "posts.jsonl").write_text('{"id": "1", "text": "Ada Lovelace"}\n')
    system = folder / "mine.yaml"
    system.write_text(
        "tag: mini\nrewrite: {backend: template, prompt: rg.jinja}\ndata: posts.jsonl\n"
    )
    assert validate(tmp_path, system).returncode == 0
    assert validate(tmp_path, system, "--set", "rewrite.prompt=rg.jinja").returncode == 2
    assert validate(folder, system, "--set", "rewrite.prompt=rg.jinja").returncode == 0
    assert validate(tmp_path, system, "--set", "data=configs/posts.jsonl").returncode == 0


def test_types_that_the_tagger_does_not_know_are_told(tmp_path: Path) -> None:
    done = validate(tmp_path, "quickstart", "--set", "labels=[VESSEL, PER]")
    assert done.returncode == 0
    assert "tag: mini knows PER, LOC, ORG, OTHER only, not VESSEL of labels" in done.stdout
    told = validate(tmp_path, "quickstart", "--set", "labels=[VESSEL, PER]", "--set", "tag=gliner")
    assert "only, not" not in told.stdout
