"""A disk that is full: every writer names the file and says what to do, and leaves no half."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import full_disk
from helpers.run_folders import make_run
from helpers.small_runs import trap_samples, write_run

from riveg.exports.registry import FORMATS


def in_own_namespace() -> list[str]:
    """The words before a command that may mount file systems of its own."""
    unshare = shutil.which("unshare")
    command = [unshare or "", "-rm"]
    trial = [*command, "mount", "-t", "tmpfs", "none", "/mnt"]
    if unshare is None or subprocess.run(trial, check=False, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    return command


@pytest.mark.slow
def test_every_writer_names_the_file_and_says_what_to_do(tmp_path: Path) -> None:
    command = in_own_namespace()
    samples = trap_samples()
    pictures = write_run(tmp_path, samples).image_roots
    shutil.rmtree(tmp_path / "run")
    make_run(tmp_path / "run", samples, image_roots=[*map(str, pictures)])
    rows = ({"id": str(number), "text": f"a ball {number} " * 20} for number in range(2000))
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = subprocess.run(
        [*command, sys.executable, full_disk.__file__, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    found: list[list[Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    ways = {*FORMATS, "report", "overlay", "convert jsonl", "convert parquet"}
    assert {way for way, _, error in found if error is None} == ways
    assert {way for way, pages, error in found if error and not pages} == ways
    assert {way for way, pages, error in found if error and pages} >= {*FORMATS}
    for way, pages, error in found:
        if error is not None:
            advice = "make room, then give the same command again"
            advice = advice if pages else "name another place, or make this one writable"
            assert error.startswith(str(tmp_path / "disk" / "out")), (way, error)
            assert error.endswith(f"; {advice}"), (way, error)
            assert "\n" not in error
