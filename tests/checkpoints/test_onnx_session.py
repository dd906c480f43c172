"""The main job leaves no trace outside its folder and asks nobody."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.places import ROOT

COMMAND = [sys.executable, "-m", "riveg", "run", "quickstart", "--limit", "2", "--out"]


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(ROOT)}


@pytest.mark.slow
def test_a_run_leaves_the_home_folder_empty(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    command = [*COMMAND, str(tmp_path / "run")]
    subprocess.run(command, env=environment(home), check=True, capture_output=True, cwd=tmp_path)
    assert not list(home.iterdir())


@pytest.mark.slow
def test_a_run_needs_no_network(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rn", "true"], check=False).returncode:
        pytest.skip("network namespaces are not to be had here")
    command = [unshare, "-rn", *COMMAND, str(tmp_path / "run")]
    done = subprocess.run(
        command, env=environment(tmp_path), check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "evidence" in done.stdout
