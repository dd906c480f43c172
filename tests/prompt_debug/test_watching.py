"""Files that are saved again and again."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from riveg.prompt_debug.watching import changes


def write(path: Path, text: str) -> None:
    path.write_text(text)


def put_in_place(path: Path, text: str) -> None:
    other = path.with_suffix(".new")
    other.write_text(text)
    other.replace(path)


def take_away_and_write(path: Path, text: str) -> None:
    path.unlink()
    threading.Timer(0.03, path.write_text, [text]).start()


@pytest.mark.parametrize("save", [write, put_in_place, take_away_and_write])
def test_each_save_is_told_once_however_an_editor_saves(tmp_path: Path, save: object) -> None:
    path = tmp_path / "mine.jinja"
    path.write_text("one")
    saves = changes([path], interval_s=0.01)
    next(saves)
    threading.Timer(0.05, save, [path, "another"]).start()  # type: ignore[arg-type]
    next(saves)
    assert path.read_text() == "another"
