"""Whatever a backend needs from its surroundings is there in a run, a dry run and prompt-debug."""

from pathlib import Path

import pytest
from helpers.command_line import riveg
from helpers.fault_server import Running, fault_server

pytestmark = [pytest.mark.slow, pytest.mark.server]


def write_system(folder: Path, server: Running) -> Path:
    """A grounder whose frame depends on how its language model is reached."""
    path = folder / "system.yaml"
    path.write_text(
        "data: quickstart\n"
        f"llm: {{main: {{model: tiny/model, base_urls: ['{server.url}'], picture_side: 640}}}}\n"
        "tag: mini\n"
        "ground: {backend: chat, llm: main, frame: pixels-sent}\n"
    )
    return path


@pytest.mark.parametrize(
    "command",
    [
        ("run", "SYSTEM", "--limit", "2", "--out", "OUT", "--max-error-rate", "1"),
        ("run", "SYSTEM", "--limit", "2", "--out", "OUT", "--dry-run"),
        ("prompt-debug", "SYSTEM", "--stage", "ground", "--sample", "2"),
    ],
    ids=["run", "dry-run", "prompt-debug"],
)
def test_a_frame_of_what_is_sent(tmp_path: Path, command: tuple[str, ...]) -> None:
    with fault_server(tmp_path / "counts") as server:
        system = write_system(tmp_path, server)
        places = {"SYSTEM": str(system), "OUT": str(tmp_path / "run")}
        done = riveg(*(places.get(part, part) for part in command))
    assert done.returncode == 0, done.stderr
    assert "ground" in done.stdout
