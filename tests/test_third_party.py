"""A backend from another package, written as CONTRIBUTING.md says, works like riveg's own."""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


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
    picture = str(next((ROOT / "data" / "quickstart" / "images").iterdir()))
    done = riveg(package, "predict", *arguments, "--image", picture)
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
