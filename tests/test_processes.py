"""Programs that work for a process end with it, however early it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from helpers.marked_processes import gone_within
from helpers.places import ROOT

_PARENT = """
import sys, time
from riveg.processes import start_python

child = start_python(sys.argv[1], threads=1)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("delay_s", [0, 1])
def test_a_program_ends_with_its_parent(at_once: bool, delay_s: float) -> None:
    # With the delay the parent is gone before the program could have looked for it.
    code = f"""
import time
time.sleep({delay_s})
from riveg.processes import end_with_parent
end_with_parent(at_once={at_once})
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, code],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    try:
        assert gone_within([child], 15)
    finally:
        if not gone_within([child], 0):
            os.kill(child, signal.SIGKILL)
