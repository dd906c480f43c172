"""The command line as a person gives it: a process of its own, 80 columns, no terminal."""

import os
import subprocess
import sys
from pathlib import Path

from helpers.places import ROOT


def riveg(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "riveg", *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
    )
