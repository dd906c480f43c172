"""What is said of packages that are not here: which backends lack them, and what brings them."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.places import ROOT

from riveg.config.extras import EXTRAS, backend_states, missing_client
from riveg.errors import WITH_TORCH, install_command
from riveg.llm.endpoint import Endpoint

SERVED = Endpoint(model="m", base_urls=("http://127.0.0.1:1/v1",))
IN_PROCESS = Endpoint(model="m", engine="vllm-offline")


def without(*packages: str) -> str:
    absent = ", ".join(f"{package}=None" for package in packages)
    return f"import sys; sys.modules.update({absent})\nfrom riveg.cli import main\nmain()"


def riveg_without(packages: tuple[str, ...], *arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", without(*packages), *arguments],
        capture_output=True,
        check=False,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """No nvidia-smi and no uv on the PATH."""
    monkeypatch.setenv("PATH", "")


def test_extras_with_torch_are_known() -> None:
    assert {extra for extra, packages in EXTRAS.items() if "torch" in packages} == WITH_TORCH


@pytest.mark.usefixtures("no_tools")
def test_a_command_is_for_this_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/my env/bin/python")
    assert install_command("openai", "chat") == (
        "'/opt/my env/bin/python' -m pip install \"riveg[chat]\""
    )
    assert install_command("other", None) == "'/opt/my env/bin/python' -m pip install other"


def test_a_command_where_there_is_no_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pip", None)
    python = shlex.quote(sys.executable)
    assert install_command("openai", "chat") == f'uv pip install --python {python} "riveg[chat]"'


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_torch_comes_without_gpu_packages_where_there_is_no_gpu(
    extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setitem(sys.modules, "torch", None)
    builds = "--extra-index-url https://download.pytorch.org/whl/cpu"
    assert (builds in install_command("any", extra)) == (extra in WITH_TORCH)
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert builds not in install_command("any", extra)


def test_a_backend_that_asks_a_model_lacks_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    monkeypatch.setitem(sys.modules, "vllm", None)
    chats = [state for state in backend_states() if state.name == "chat"]
    assert len(chats) > 5
    assert {state.missing and state.missing.package for state in chats} == {"openai"}
    for endpoint, package in ((SERVED, "openai"), (IN_PROCESS, "vllm")):
        missing = missing_client(endpoint)
        assert missing is not None
        assert missing.package == package


def test_any_client_will_do_until_the_model_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openai", reason="the extra chat is not installed")
    monkeypatch.setitem(sys.modules, "vllm", None)
    assert missing_client() is None
    assert missing_client(SERVED) is None
    assert missing_client(IN_PROCESS) is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "lacks"),
    [
        (("doctor",), "lacks openai"),
        (("show", "backends"), "no: chat"),
        (("validate", "riveg"), "needs openai"),
    ],
)
def test_commands_tell_what_is_missing(
    command: tuple[str, ...], lacks: str, tmp_path: Path
) -> None:
    packages = ("openai", "vllm", "torch", "matplotlib")
    printed = riveg_without(packages, *command, cwd=tmp_path)
    lines = printed.splitlines()
    for extra in ("chat", "models"):
        commands = [line for line in lines if f'"riveg[{extra}]"' in line]
        assert commands
        assert all(f"{sys.executable} -m pip install" in line for line in commands)
    chats = [line for line in lines if " chat " in line]
    assert chats
    assert all(word in line for line in chats for word in ("chat", lacks))
