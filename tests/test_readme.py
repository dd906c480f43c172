"""The README: its commands run, its figures are the cards'."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.places import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
PRINTED = re.findall(r"```python\n.*?```[^`]*```\n(.*?)```", README, flags=re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [line for block in SHELL for line in block.splitlines() if line.startswith("riveg ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with the files that the README speaks of, as in a clone."""
    made = tmp_path_factory.mktemp("clone")
    for name in ("data", "configs", "prompts"):
        (made / name).symlink_to(ROOT / name)
    return made


def call(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, capture_output=True, check=False, text=True, cwd=folder, env=environment
    )


def test_the_page_shows_each_command_of_a_users_work() -> None:
    shown = {line.split()[1] for line in COMMANDS}
    work = {"predict", "run", "show", "validate", "eval", "compare", "report", "export", "fetch"}
    assert work <= shown
    assert len(PYTHON) == 1
    assert "import riveg" in PYTHON[0] or "from riveg" in PYTHON[0]


@pytest.mark.slow
def test_every_riveg_command_runs_in_the_order_of_the_page(folder: Path) -> None:
    for line in ("riveg run quickstart", *COMMANDS):  # the first is what `make run` runs
        words = shlex.split(line)[1:]
        done = call([sys.executable, "-m", "riveg", *words], folder)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_the_python_block_runs(folder: Path) -> None:
    done = call([sys.executable, "-c", PYTHON[0]], folder)
    assert done.returncode == 0, done.stderr
    (printed,) = PRINTED
    assert done.stdout == printed


def test_the_make_commands_do_what_the_pip_lines_do() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (run_line,) = [block for block in SHELL if "riveg run quickstart" in block and "venv" in block]
    (test_line,) = [block for block in SHELL if "pytest" in block]
    assert "-e .\n" in makefile
    assert "install -e . &&" in run_line
    assert "riveg run quickstart" in makefile
    for part in ("constraints.txt", '-e ".[dev]"', "-m pytest"):
        assert part in makefile
        assert part in test_line
    assert {"make run\n", "make test\n"} <= set(SHELL)


@pytest.mark.parametrize(
    ("card", "pattern"),
    [
        ("tagger", r"\| all \| 2450 \| [\d.]+ / [\d.]+ / ([\d.]+) \|"),
        ("entailer", r"\| caption.json \| held out \| 2450 \| ([\d.]+) \|"),
        ("entailer", r"\| captionless.json \| held out \| 2450 \| ([\d.]+) \|"),
    ],
)
def test_the_figures_are_those_of_the_cards(card: str, pattern: str) -> None:
    text = (ROOT / "riveg" / "assets" / card / "CARD.md").read_text(encoding="utf-8")
    found = re.search(pattern, text)
    assert found is not None
    figure = float(found[1])
    shown = f"{figure:.1f}" if figure > 1 else f"{100 * figure:.1f} %"
    assert shown in README


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
