"""What the fuzz must notice: a process that dies, and what is done outside the folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz.child import Child
from fuzz.properties import require_orderly


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    made = Child(tmp_path_factory.mktemp("worker"))
    yield made
    made.close()


@pytest.mark.slow  # starts processes
def test_a_dead_process_is_told_and_followed_by_another(child: Child, tmp_path: Path) -> None:
    for name, call in (("SIGSEGV", "faulthandler:_sigsegv"), ("SIGABRT", "os:abort")):
        outcome = child.do(tmp_path, [call])
        assert outcome.fault == f"the process died of {name}"
        with pytest.raises(AssertionError, match=name):
            require_orderly(outcome, is_configuration=False)
    assert child.do(tmp_path, ["--version"]).stdout.startswith("riveg ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "noticed"),
    [
        (("os:mkdir", "../outside"), "os.mkdir"),
        (("os:remove", "link/precious"), "os.remove"),
        (("builtins:open", "../outside", "w"), "open"),
        (("os:rename", "mine", "../outside"), "os.rename"),
        (("os:system", "true"), "os.system"),
        (("os:mkdir", "inside"), ""),
        (("builtins:open", "link/precious"), ""),
    ],
)
def test_what_is_done_outside_the_folder(
    child: Child, tmp_path: Path, words: tuple[str, ...], noticed: str
) -> None:
    folder, other = tmp_path / "folder", tmp_path / "other"
    for one in (folder, other):
        one.mkdir()
    (folder / "mine").touch()
    (other / "precious").touch()
    (folder / "link").symlink_to(other)
    outcome = child.do(folder, words)
    assert [one.partition(" ")[0] for one in outcome.outside] == ([noticed] if noticed else [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("builtins:int", "x"), "ValueError"),
        (("builtins:print", "\x1b[31m"), "control characters"),
        (("warnings:warn", "old"), "UserWarning"),
        (("run", "no-such-system"), None),
    ],
)
def test_what_is_no_orderly_end(
    child: Child, tmp_path: Path, words: tuple[str, ...], reason: str | None
) -> None:
    outcome = child.do(tmp_path, words)
    if reason is None:
        require_orderly(outcome, is_configuration=False)
        return
    with pytest.raises(AssertionError, match=reason):
        require_orderly(outcome, is_configuration=False)
