"""Files that are replaced whole or stay as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from riveg.errors import UserError
from riveg.files import replacing, write_atomically


def test_a_file_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("is_shared", [True, False])
def test_a_block_that_raises_leaves_the_old_file(tmp_path: Path, is_shared: bool) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write() -> None:
        with replacing(path, is_shared=is_shared) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_shared_files_have_temporary_names_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with replacing(path) as own, replacing(path, is_shared=True) as shared:
        assert own != shared
        own.write_text("first")
        shared.write_text("second")
    assert path.read_text() == "first"


def test_a_file_that_cannot_be_written_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        write_atomically(tmp_path / "none" / "a.txt", [b"x"])
    with pytest.raises(UserError, match="expected the name of a file"):
        write_atomically(Path("/"), [b"x"])
