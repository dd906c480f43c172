"""Loading a network says nothing on a terminal, where riveg draws its own progress."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.places import ROOT
from helpers.tiny_blip import save_captioner, save_itm
from helpers.tiny_grounding_dino import save_grounding_dino
from helpers.tiny_siglip import save_siglip

LOAD = """
import sys
from pathlib import Path
from riveg.config.backend import BuildContext
from riveg.registry import backend_config
stage, name, folder = sys.argv[1:]
config = backend_config(stage, name)(model=folder, device="cpu")
config.build(BuildContext(images=None, base=Path()))
from transformers.utils import logging
print(logging.is_progress_bar_enabled(), logging.get_verbosity() == logging.WARNING)
"""
SAVED = {
    ("caption", "blip"): save_captioner,
    ("entail", "itm"): save_itm,
    ("entail", "siglip"): save_siglip,
    ("ground", "grounding-dino"): save_grounding_dino,
}


def on_a_terminal(*arguments: str) -> str:
    """What a Python program writes where both of its outputs are a terminal."""
    ours, theirs = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TR"))}
    with subprocess.Popen(
        [sys.executable, "-c", *arguments],
        stdout=theirs,
        stderr=theirs,
        env={**kept, "PYTHONPATH": str(ROOT)},
    ) as process:
        os.close(theirs)
        said = b""
        # Linux ends a terminal that nobody writes to any more with an error.
        while chunk := _read(ours):
            said += chunk
    os.close(ours)
    assert process.returncode == 0, said.decode()
    return said.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "name"), SAVED)
def test_only_the_program_itself_is_heard(tmp_path: Path, stage: str, name: str) -> None:
    SAVED[stage, name](tmp_path / "model")
    # The library's settings are for the rest of the program as they were.
    assert on_a_terminal(LOAD, stage, name, str(tmp_path / "model")) == "True True\r\n"
