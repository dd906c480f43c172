"""Stores in memory: addresses, copies of folders and files, and the lock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from riveg.errors import MissingExtra, UserError
from riveg.runs.stored import local_run, working_folder
from riveg.stores.files import address_of, bring, copy_of, local_file, local_folder, place_of
from riveg.stores.folder_copy import FolderCopy
from riveg.stores.lock import Holder, StoreLock, is_alive, last_holder
from riveg.stores.store import Store, store_address

pytest.importorskip("fsspec")

ADDRESS = "memory://bucket/run"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from fsspec.implementations.memory import MemoryFileSystem

    monkeypatch.setenv("RIVEG_CACHE", str(tmp_path / "cache"))
    MemoryFileSystem.store.clear()
    yield
    MemoryFileSystem.store.clear()


@pytest.mark.parametrize(
    ("place", "address"),
    [
        ("s3://bucket/run", "s3://bucket/run"),
        (Path("gs://bucket/a/b/"), "gs://bucket/a/b"),
        ("runs/s3", None),
        ("s3", None),
        ("", None),
        (Path("/s3:/x"), None),
        ("https://host/x", None),
        ("memory::s3://x", None),
    ],
)
def test_an_address_is_told_from_a_path(place: str | Path, address: str | None) -> None:
    assert store_address(place) == address


def test_an_address_without_a_bucket_and_one_that_goes_up_are_refused() -> None:
    for address in ("s3://", "memory://a/../b"):
        with pytest.raises(UserError, match=r"expected .*://BUCKET/NAME"):
            Store(address)


def test_a_store_whose_package_is_not_here_names_it() -> None:
    with pytest.raises(MissingExtra, match="adlfs"):
        Store("az://container/run")


def test_a_file_of_a_store_is_copied_once_and_again_when_it_has_changed() -> None:
    store = Store("memory://bucket/posts.jsonl")
    with pytest.raises(UserError, match=r"memory://bucket/posts\.jsonl: no such object"):
        local_file(store.address)
    store.write("", b"one")
    copy = local_file(Path(store.address))
    assert (copy.read_bytes(), address_of(copy), place_of(copy)) == (b"one", *[store.address] * 2)
    found = store.find()
    assert found is not None
    assert abs(copy.stat().st_mtime - found.written) < 1e-3
    inode = copy.stat().st_ino
    assert local_file(store.address).stat().st_ino == inode
    store.write("", b"longer")
    assert local_file(store.address).read_bytes() == b"longer"


def test_pictures_are_brought_one_by_one() -> None:
    Store("memory://bucket/pictures").write("a/b.jpg", b"x")
    folder = local_folder("memory://bucket/pictures")
    assert [*folder.iterdir()] == []
    assert bring(folder / "a" / "b.jpg")
    assert (folder / "a" / "b.jpg").read_bytes() == b"x"
    assert not bring(folder / "a" / "c.jpg")
    assert not bring(Path("elsewhere.jpg"))
    assert folder == copy_of("memory://bucket/pictures")


def copy_of_run() -> FolderCopy:
    return FolderCopy(Store(ADDRESS), "runs", lambda name: name.endswith(".jsonl"))


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_what_is_here_is_newer_only_for_who_held_the_lock_last() -> None:
    store, copy = Store(ADDRESS), copy_of_run()
    store.write("0-input/part-0.jsonl", b"input")
    store.write("other.txt", b"not of a run")
    copy.fetch(keeps_own=False)
    assert contents(copy.path) == {"0-input/part-0.jsonl": b"input"}
    assert copy.changed() == {}

    own = {"0-input/part-0.jsonl": b"newer", "1-tag.jsonl": b"not sent yet"}
    for name, content in own.items():
        (copy.path / name).write_bytes(content)
    again = copy_of_run()
    again.fetch(keeps_own=True)
    assert contents(copy.path) == own
    assert again.changed().keys() == own.keys()
    again.send(again.changed(), lambda: None)
    assert {name: store.read(name) for name in own} == own
    assert again.changed() == {}

    store.write("1-tag.jsonl", b"of another machine")
    (copy.path / "2-rewrite.jsonl").write_bytes(b"not sent, and made from what is no more")
    last = copy_of_run()
    last.fetch(keeps_own=False)
    assert contents(copy.path) == {**own, "1-tag.jsonl": b"of another machine"}
    assert last.changed() == {}


def test_nothing_is_sent_without_the_lock() -> None:
    store, copy = Store(ADDRESS), copy_of_run()
    copy.fetch(keeps_own=False)
    (copy.path / "a.jsonl").write_bytes(b"x")
    lock = StoreLock(store, "a", lambda: None)  # not taken
    with pytest.raises(UserError, match="lock could not be renewed"):
        copy.send(copy.changed(), lock.require)
    assert store.objects() == {}
    assert copy.changed().keys() == {"a.jsonl"}


def test_names_that_lead_out_of_the_folder_are_refused() -> None:
    class Hostile(Store):
        def objects(self) -> dict[str, Any]:
            return {"../../out.jsonl": None}

    copy = FolderCopy(Hostile(ADDRESS), "runs", lambda _: True)
    with pytest.raises(UserError, match="leads out of it"):
        copy.fetch(keeps_own=False)


def test_the_lock_is_had_by_one_and_given_to_the_next() -> None:
    store = Store(ADDRESS)
    said: list[str] = []
    first = StoreLock(store, "a", lambda: None)
    assert first.take(said.append) is None
    first.require()
    same = StoreLock(store, "a", lambda: None)  # its process has ended: the folder's lock is free
    holder = same.take(said.append)
    assert holder is not None
    assert (holder.number, holder.process, said) == (1, os.getpid(), [])
    with pytest.raises(UserError, match=rf"another run \(process {os.getpid()} on .*wait for it"):
        StoreLock(store, "b", lambda: None).take(said.append)
    assert len(said) == 1
    same.give_back()
    last = last_holder(store)
    assert last is not None
    assert (last.number, last.has_ended) == (2, True)
    other = StoreLock(store, "b", lambda: None)
    assert other.take(said.append) == last
    other.give_back()
    assert len(said) == 1
    first.give_back()


def test_the_first_of_two_that_take_it_at_once_has_it() -> None:
    store = Store(ADDRESS)

    class Late(Store):
        """Looks, and another one takes the lock before it does."""

        def objects(self) -> dict[str, Any]:
            found = super().objects()
            if not found:
                assert StoreLock(store, "a", lambda: None).take(lambda _: None) is None
            return found

    with pytest.raises(UserError, match="another run"):
        StoreLock(Late(ADDRESS), "b", lambda: None).take(lambda _: None)


def test_a_store_without_conditional_writes_is_refused() -> None:
    class Careless(Store):
        def write(self, name: str, content: bytes, *, new: bool = False) -> bool:
            return super().write(name, content)

    with pytest.raises(UserError, match="knows no conditional writes"):
        StoreLock(Careless(ADDRESS), "a", lambda: None).take(lambda _: None)


def test_a_holder_is_alive_while_it_says_so() -> None:
    store = Store(ADDRESS)
    lock = StoreLock(store, "a", lambda: None)
    lock.take(lambda _: None)
    holder = last_holder(store)
    assert holder is not None
    assert is_alive(store, holder)
    lock.give_back()
    ended = last_holder(store)
    assert ended is not None
    assert not is_alive(store, ended)
    assert not is_alive(store, Holder(9, "b", "host", 1), patience_s=0.1)


def test_a_damaged_lock_is_one_line() -> None:
    store = Store(ADDRESS)
    for content in (b"{", b"[]", b'{"number": 1}'):
        store.write(".lock/00000001", content)
        with pytest.raises(UserError, match=r"\.lock/00000001: is no lock of a run; remove it"):
            last_holder(store)


def test_other_objects_are_no_run_and_are_left_alone() -> None:
    Store("memory://bucket/other").write("a.jpg", b"x")
    with (
        pytest.raises(UserError, match="holds objects and is no run"),
        working_folder(Path("memory://bucket/other"), lambda _: None),
    ):
        pass
    with pytest.raises(UserError, match="holds no run"):
        local_run(Path("memory://bucket/other"))
    assert Store("memory://bucket/other").objects().keys() == {"a.jpg"}


def test_a_run_that_fails_has_sent_what_it_wrote_and_gives_the_lock_back() -> None:
    def fail_in(folder: Path) -> None:
        (folder / "1-tag").mkdir(parents=True)
        (folder / "1-tag" / "part-00000.jsonl").write_bytes(b"part")
        (folder / "logs").mkdir()
        (folder / "logs" / "serve.log").write_bytes(b"may hold a secret")
        (folder / "manifest.json").write_bytes(b"{}")
        raise ValueError("a bug")

    with (
        pytest.raises(ValueError, match="a bug"),
        working_folder(Path(ADDRESS), lambda _: None) as folder,
    ):
        fail_in(folder)
    store = Store(ADDRESS)
    assert store.objects().keys() == {
        "1-tag/part-00000.jsonl",
        "manifest.json",
        ".lock/00000001",
    }
    last = last_holder(store)
    assert last is not None
    assert last.has_ended
