"""A backend from another package, written as CONTRIBUTING.md says, works like riveg's own."""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from helpers.places import ROOT

pytestmark = pytest.mark.slow  # every test starts processes


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder on the path with the guide's code and an installed package's entry point."""
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(.*?)```", guide, flags=re.DOTALL)
    assert block is not None
    folder = tmp_path / "site"
    metadata = folder / "hopeful-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "hopeful.py").write_text(textwrap.dedent(block[1]), encoding="utf-8")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: hopeful\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[riveg.backends]\nentail.hopeful = hopeful:HopefulConfig\nentail.broken = nowhere:Config\n"
    )
    return folder


def riveg(package: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "riveg", *arguments],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "PYTHONPATH": str(package), "COLUMNS": "200"},
        cwd=package.parent,
    )


def test_it_is_listed_validated_and_run(package: Path) -> None:
    assert "believes in every entity alike" in riveg(package, "show", "backends").stdout
    system = package.parent / "system.yaml"
    system.write_text("tag: mini\nentail: {backend: hopeful, probability: 0.7}\n")
    assert riveg(package, "validate", str(system)).returncode == 0
    arguments = ("--text", "Lionel Messi scored in Barcelona", "--json", "--system", str(system))
    image = str(next((ROOT / "data" / "quickstart" / "images").iterdir()))
    done = riveg(package, "predict", *arguments, "--image", image)
    assert done.returncode == 0, done.stderr
    entities = json.loads(done.stdout)["entities"]
    assert entities
    assert {entity["entailment"]["source"] for entity in entities} == {"hopeful"}


def test_one_that_does_not_import_is_one_line(package: Path) -> None:
    system = package.parent / "system.yaml"
    system.write_text("tag: mini\nentail: broken\n")
    done = riveg(package, "validate", str(system))
    assert done.returncode == 2
    assert "entail.backend: found broken" in done.stderr
    assert "Traceback" not in done.stderr


BROKEN = {
    "raises": "raise RuntimeError('no driver,\\nnot here')",
    "exits": "import sys; sys.exit(3)",
    "misspelt": "def f(:",
    "interrupts": "class Odd(BaseException): ...\nraise Odd('odd')",
    "mute": "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute",
    "other": "Config = 3",
    "nameless": (
        "from riveg.config.backend import BackendConfig\nclass Config(BackendConfig):\n    pass"
    ),
}


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A folder on the path with packages whose backends cannot be loaded."""
    folder = tmp_path / "site"
    metadata = folder / "broken-1.0.dist-info"
    metadata.mkdir(parents=True)
    for name, code in BROKEN.items():
        (folder / f"broken_{name}.py").write_text(code + "\n", encoding="utf-8")
    points = "\n".join(f"tag.{name} = broken_{name}:Config" for name in BROKEN)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        f"[riveg.backends]\n{points}\ntag.nowhere = nowhere:Config\ntag.shapeless = broken_raises\n"
    )
    return folder


@pytest.mark.parametrize("name", [*BROKEN, "nowhere"])
def test_whatever_a_module_raises_it_is_one_line(broken: Path, name: str) -> None:
    done = riveg(broken, "validate", "quickstart", "--set", f"tag.backend={name}")
    assert done.returncode == 2, done.stdout
    assert f"found {name}; tag: backend {name!r}" in done.stderr
    assert len(done.stderr.splitlines()) == 2  # the problem, and that it is one
    assert "1 problem" in done.stderr


@pytest.mark.parametrize("command", [("doctor",), ("show", "backends")])
def test_broken_backends_are_listed_as_such(broken: Path, command: tuple[str, ...]) -> None:
    done = riveg(broken, *command)
    assert done.returncode == 0, done.stderr
    assert "grabcut" in done.stdout  # what comes after them
    assert "SystemExit: 3" in done.stdout
    for name in (*BROKEN, "nowhere", "shapeless"):
        assert name in done.stdout
    assert done.stdout.count("is broken") >= len(BROKEN) + 2
