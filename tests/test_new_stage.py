"""A stage added as CONTRIBUTING.md says is validated, run, kept and shown like riveg's own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.places import ROOT

pytestmark = pytest.mark.slow  # every test starts processes

COMMAND = """
import sys
from riveg.stages import table
import new_stage
table.STAGES = (*table.STAGES, new_stage.RELABEL)
from riveg.cli import main
main()
"""

BACKEND = """
from typing import ClassVar
from riveg.config.backend import BackendConfig
import new_stage

class ShoutConfig(BackendConfig[new_stage.Relabeller]):
    stage: ClassVar[str] = "relabel"
    name: ClassVar[str] = "shout"
    summary: ClassVar[str] = "adds a mark to every label"
    mark: str = "!"

    def build(self, context):
        return Shout(self.mark)

class Shout:
    def __init__(self, mark):
        self._mark = mark

    def relabel(self, mentions):
        return [mention.entity.label + self._mark for mention in mentions]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder on the path with the guide's stage, and a backend of it in an entry point."""
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Add a stage")[2]
    block = re.search(r"```python\n(.*?)```", guide, flags=re.DOTALL)
    assert block is not None
    folder = tmp_path / "site"
    metadata = folder / "shout-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "new_stage.py").write_text(block[1], encoding="utf-8")
    (folder / "shout.py").write_text(BACKEND, encoding="utf-8")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shout\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[riveg.backends]\nrelabel.shout = shout:ShoutConfig\n"
    )
    return folder


def riveg(site: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "COLUMNS": "200"},
        cwd=site.parent,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_works_like_the_others(site: Path) -> None:
    system = site.parent / "system.yaml"
    system.write_text("data: quickstart\ntag: mini\nrelabel: {backend: shout}\n")
    assert "adds a mark" in riveg(site, "show", "backends")
    riveg(site, "validate", str(system))
    riveg(site, "run", str(system), "--limit", "2", "--out", "first")
    records = (site.parent / "first" / "records.jsonl").read_text()
    assert '"label":"PER!"' in records
    assert (site.parent / "first" / "2-relabel" / "part-00000.jsonl").is_file()
    shown = riveg(site, "show", "run", "first", "--id", "qs01-astronaut")
    assert "relabel (shout)" in shown
    assert "Eileen Collins: PER!" in shown


def test_its_backend_can_be_set_and_redoes_itself_alone(site: Path) -> None:
    system = site.parent / "system.yaml"
    system.write_text("data: quickstart\ntag: mini\nrelabel: {backend: shout}\n")
    riveg(site, "run", str(system), "--limit", "2", "--out", "run")
    tagged = (site.parent / "run" / "1-tag" / "part-00000.jsonl").stat().st_mtime_ns
    riveg(site, "run", str(system), "--limit", "2", "--out", "run", "--set", "relabel.mark=-new")
    assert '"label":"PER-new"' in (site.parent / "run" / "records.jsonl").read_text()
    assert (site.parent / "run" / "1-tag" / "part-00000.jsonl").stat().st_mtime_ns == tagged
