"""Files that are replaced whole or stay as they are."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from riveg.errors import UserError
from riveg.files import PARTIAL, make_folder, replacing, write_atomically


def test_a_file_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [*tmp_path.iterdir()] == [path]


def test_a_block_that_raises_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_every_writer_has_a_temporary_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with replacing(path) as one, replacing(path) as other:
        assert one != other
        one.write_text("first")
        other.write_text("second")
    assert path.read_text() == "first"
    assert [*tmp_path.iterdir()] == [path]


_IS_KILLED = """
import os, signal, sys
from pathlib import Path
from riveg.files import replacing

with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_writer_removes_what_a_killed_one_has_left(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", _IS_KILLED, str(path)], check=False)
        assert done.returncode == -signal.SIGKILL
        # The second kill meets what the first has left.
        (left,) = tmp_path.iterdir()
        assert left.name.endswith(PARTIAL)
    write_atomically(tmp_path / "b.txt", [b"another file"])
    assert left.exists()
    write_atomically(path, [b"new"])
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.txt", "b.txt"]


def test_what_a_writer_at_work_has_written_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("long work")
        write_atomically(path, [b"meanwhile"])
        assert path.read_text() == "meanwhile"
    assert path.read_text() == "long work"
    assert [*tmp_path.iterdir()] == [path]


def test_only_regular_files_are_taken_for_what_was_left(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with replacing(path) as temporary:
        pass
    precious = tmp_path / "precious"
    precious.write_text("mine")
    number = temporary.name.removesuffix(PARTIAL)[:-1]
    temporary.symlink_to(precious)
    os.mkfifo(tmp_path / f"{number}1{PARTIAL}")
    (tmp_path / f"{number}2{PARTIAL}").mkdir()
    before = {one.name for one in tmp_path.iterdir()}
    write_atomically(path, [b"new"])
    assert {one.name for one in tmp_path.iterdir()} == before
    assert (path.read_text(), precious.read_text()) == ("new", "mine")


def test_more_writers_than_names_still_never_meet(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with ExitStack() as stack:
        temporaries = {stack.enter_context(replacing(path)) for _ in range(12)}
        assert len(temporaries) == 12
    assert [*tmp_path.iterdir()] == [path]


_WRITES_ALL_THE_TIME = """
import sys
from contextlib import ExitStack
from pathlib import Path
from riveg.files import write_atomically

for _ in range(60):
    write_atomically(Path(sys.argv[1]), [sys.argv[2].encode()] * 50_000)
"""


@pytest.mark.slow
def test_two_processes_never_mix_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITES_ALL_THE_TIME, str(path), letter])
        for letter in "ab"
    ]
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            assert len({*path.read_bytes()}) == 1
            assert path.stat().st_size == 50_000
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [*tmp_path.iterdir()] == [path]


def test_a_link_that_lies_in_wait_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    path = tmp_path / "a.txt"
    for name in ("a.txt.partial", "a.txt"):
        (tmp_path / name).symlink_to(precious)
    write_atomically(path, [b"new"])
    assert (precious.read_text(), path.read_text(), path.is_symlink()) == ("mine", "new", False)


def test_a_long_name_has_a_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / ("\u00e9" * 127)
    write_atomically(path, [b"new"])
    assert path.read_bytes() == b"new"


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(UserError, match="it is there and is no file"):
            write_atomically(path, [b"x"])
    assert pipe.is_fifo()


@pytest.mark.parametrize("goes_on", [True, False])
def test_only_what_goes_on_is_said_to(tmp_path: Path, goes_on: bool) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(UserError, match="make room") as raised:
            write_atomically(tmp_path / "a.txt", [b"x" * 1000], goes_on=goes_on)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(raised.value).endswith("it goes on where it stopped") is goes_on
    assert not [*tmp_path.iterdir()]


def test_a_file_that_cannot_be_written_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        write_atomically(tmp_path / "none" / "a.txt", [b"x"])
    with pytest.raises(UserError, match="expected the name of a file"):
        write_atomically(Path("/"), [b"x"])


@pytest.mark.parametrize("place", ["s3://bucket/run", "gs://bucket", "memory://x/y"])
def test_an_object_store_is_no_folder(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (Path(place), Path(place).absolute()):
        with pytest.raises(UserError, match=r"is no folder of this machine.*copy, or mount it"):
            make_folder(path)
    assert not [*tmp_path.iterdir()]
