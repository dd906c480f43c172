"""``benchmarks/pointing.py``: what it prints of a network that has learnt nothing."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.places import ROOT
from helpers.tiny_blip import save_itm

pytestmark = pytest.mark.slow  # torch and its models, loaded and run


def test_figures_of_a_random_network(tmp_path: Path) -> None:
    draw = runpy.run_path(str(ROOT / "benchmarks" / "learning.py"))["draw_world"]
    draw(tmp_path / "world", {"train": 1, "dev": 1, "test": 30}, side=96)
    model = save_itm(tmp_path / "itm")
    words = [sys.executable, str(ROOT / "benchmarks" / "pointing.py"), tmp_path / "world", model]
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    counted, *lines = done.stdout.splitlines()
    assert re.fullmatch(r"\d+ mentions that are shown, in \d+ posts", counted)
    figures = {line[:12].strip(): float(line[12:].split()[0]) for line in lines}
    assert [*figures] == ["chance", "middle", "layer 0", "layer 1"]
    assert 2 < figures["chance"] < 12, "things fill a third of the sides at most"
    assert all(0 <= figure <= 100 for figure in figures.values())
