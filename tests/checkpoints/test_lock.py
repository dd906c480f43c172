"""``models.lock``: other weights are refused by the name of the file that differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from riveg.checkpoints.fetching import locked_notes, pickle_notes
from riveg.checkpoints.lock import (
    LockedFile,
    LockedModel,
    ModelLock,
    locked_model,
    read_lock,
    require_locked_files,
    write_lock,
)
from riveg.config.reader import load_config
from riveg.config.system import Step, SystemConfig
from riveg.errors import UserError
from riveg.stages.entailers.itm import ItmEntailerConfig
from riveg.stages.table import ENTAIL

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = tmp_path / "tiny" / "itm"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"weights")
    return model


def lock_of(folder: Path, name: str = "tiny/itm") -> ModelLock:
    return ModelLock().with_model(locked_model(name, COMMIT, None, folder, folder.iterdir()))


def system_of(model: str) -> SystemConfig:
    step = Step(ENTAIL, ItmEntailerConfig(model=model))
    return replace(load_config("quickstart"), steps=(step,))


def test_it_comes_back_as_it_was(folder: Path, tmp_path: Path) -> None:
    lock = lock_of(folder).with_model(locked_model("a/b", COMMIT, "v1", folder, []))
    write_lock(tmp_path / "models.lock", lock)
    assert read_lock(tmp_path / "models.lock") == lock
    assert [one.name for one in lock.models] == ["a/b", "tiny/itm"]


def test_a_commit_keeps_the_files_that_were_fetched_before(folder: Path) -> None:
    lock = lock_of(folder)
    more = locked_model("tiny/itm", COMMIT, None, folder, [folder / "config.json"])
    assert lock.with_model(more) == lock
    other = more.model_copy(update={"revision": COMMIT[::-1]})
    assert lock.with_model(other).models == (other,)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.safetensors", b"WEIGHTS", "model.safetensors: has the SHA-256 .* and not"),
        ("model.safetensors", b"more weights", "model.safetensors: has 12 bytes and not 7"),
        ("config.json", None, "config.json: is missing"),
        ("pytorch_model.bin", b"x", "pytorch_model.bin: are weights that nobody has locked"),
        ("README.md", b"x", None),
    ],
)
def test_the_file_that_differs_is_named(
    folder: Path, tmp_path: Path, name: str, content: bytes | None, message: str | None
) -> None:
    lock = tmp_path / "models.lock"
    write_lock(lock, lock_of(folder))
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    if message is None:
        assert locked_notes(system_of(str(folder)), lock) == ()
        return
    with pytest.raises(UserError, match=message) as refused:
        locked_notes(system_of(str(folder)), lock)
    assert len(str(refused.value).splitlines()) == 1
    with pytest.raises(UserError, match=message):
        require_locked_files(lock_of_file(lock), folder, lock)


def lock_of_file(path: Path) -> LockedModel:
    (model,) = read_lock(path).models
    return model


def test_a_folder_that_no_entry_is_about_is_the_users_own(folder: Path, tmp_path: Path) -> None:
    write_lock(tmp_path / "models.lock", lock_of(folder, "somebody/else"))
    assert locked_notes(system_of(str(folder)), tmp_path / "models.lock") == ()


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"models": [{"name": "a"}]}', '{"version": 2, "models": []}']
)
def test_what_is_no_lock_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "models.lock").write_text(text)
    with pytest.raises(UserError, match=r"models\.lock: (cannot be read|is no lock)"):
        read_lock(tmp_path / "models.lock")


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../b", "a\\b"])
def test_a_path_of_a_lock_stays_in_its_folder(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        LockedFile(path=path, size=0, sha256="0" * 64)


def test_a_model_with_a_pickle_only_is_told(folder: Path) -> None:
    assert pickle_notes(system_of(str(folder))) == ()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    (note,) = pickle_notes(system_of(str(folder)))
    assert note.startswith(f"entail.model {folder}: no safetensors: its pickle is read")
