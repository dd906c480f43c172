import contextlib
import json
import multiprocessing
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from helpers.places import ROOT
from helpers.privileges import WITHOUT_PRIVILEGES, needs_setpriv
from hypothesis import given, settings
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.llm.cached_response import CachedResponse
from riveg.llm.conversation import Message, Request, Response
from riveg.llm.response_cache import ResponseCache

ANSWER = CachedResponse(
    Response("a \U0001f600\n\0", "stop", (("Yes", -0.1), ("No", -2.5))),
    "re-asked",
    "m",
    prompt_tokens=10,
    answer_tokens=None,
    latency_s=0.25,
    requests=2,
)


@pytest.mark.parametrize("in_memory", [True, False])
def test_an_answer_comes_back_as_it_was(in_memory: bool, tmp_path: Path) -> None:
    with ResponseCache(None if in_memory else tmp_path / "answers.sqlite") as cache:
        assert cache.get("k") is None
        cache.put("k", ANSWER)
        assert cache.get("k") == ANSWER
        other = CachedResponse(Response("half \ud83d", "stop"), "plain", "m")
        cache.put("k", other)
        assert cache.get("k") == other
        written = Response("b", "stop", thoughts="a", tokens=(("a", -0.5), ("b", -1.0)))
        full = CachedResponse(written, "plain", "m")
        cache.put("k", full)
        assert cache.get("k") == full


def test_the_file_is_made_by_the_first_answer_and_outlives_the_store(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with ResponseCache(path) as cache:
        assert cache.get("k") is None
        assert not path.exists()
        cache.put("k", ANSWER)
    assert [file.name for file in tmp_path.iterdir()] == ["answers.sqlite"]
    with ResponseCache(path) as cache:
        assert cache.get("k") == ANSWER


@pytest.mark.parametrize("version", [3, 99])
def test_a_file_of_another_version_is_refused(version: int, tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    with pytest.raises(UserError, match=f"answers of schema {version}"):
        ResponseCache(path).get("k")


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    path.write_text("these are no answers " * 99)
    with pytest.raises(UserError, match=r"answers\.sqlite: .* move the file away"):
        ResponseCache(path).put("k", ANSWER)
    with pytest.raises(UserError, match="answers cannot be kept there"):
        ResponseCache(tmp_path / "no" / "folder.sqlite").put("k", ANSWER)


DAMAGED: dict[str, list[object]] = {
    # column: what it holds instead
    "raw": ["", "{", "[]", '["a"]', '["a", "stop", [["x"]]]', '["a", "stop", [["x", "y"]]]', "7"],
    "path": ["guessed", b"plain"],
    "model": [b"m"],
    "prompt_tokens": ["many"],
    "latency_s": ["soon"],
    "asked": ["often"],
    "digest": ["0" * 32],
}


@pytest.mark.parametrize("has_digest", [True, False])
@pytest.mark.parametrize(
    ("column", "value"), [(column, value) for column, held in DAMAGED.items() for value in held]
)
def test_a_damaged_row_is_asked_again(
    column: str, value: object, has_digest: bool, tmp_path: Path
) -> None:
    path = tmp_path / "answers.sqlite"
    with ResponseCache(path) as cache:
        cache.put("k", ANSWER)
    with sqlite3.connect(path) as connection:
        if not has_digest and column != "digest":
            connection.execute("UPDATE answers SET digest = NULL")
        connection.execute(f"UPDATE answers SET {column} = ?", (value,))
    connection.close()
    request = Request((Message("user", "?"),), lambda response: response.text)
    with ResponseCache(path) as cache:
        assert cache.get("k") is None
        assert cache.recall("k", request) is None
        cache.put("k", ANSWER)
        assert cache.get("k") == ANSWER


@pytest.mark.slow
@settings(deadline=None)
@given(st.data())
def test_flipped_bytes_of_a_file_never_give_another_answer(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.sqlite"
        with ResponseCache(path) as cache:
            for number in range(9):
                cache.put(f"k{number}", ANSWER)
        content = bytearray(path.read_bytes())
        places = st.integers(0, len(content) - 1)
        flips = st.lists(st.tuples(places, st.integers(1, 255)), min_size=1, max_size=9)
        for at, flip in data.draw(flips):
            content[at] ^= flip
        path.write_bytes(content)
        with ResponseCache(path) as cache:
            for number in range(9):
                # Where the file itself is broken, that is said.
                with contextlib.suppress(UserError):
                    assert cache.get(f"k{number}") in {None, ANSWER}
                    cache.put(f"k{number}", ANSWER)
                    assert cache.get(f"k{number}") == ANSWER


@pytest.mark.parametrize("word", [b"CREATE TABLE", b"PRIMARY KEY", b"answers"])
def test_a_schema_that_is_no_text_is_one_line(word: bytes, tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with ResponseCache(path) as cache:
        cache.put("k", ANSWER)
    whole = path.read_bytes()
    assert word in whole
    path.write_bytes(whole.replace(word, b"\xba" + word[1:]))
    with ResponseCache(path) as cache, pytest.raises(UserError, match="cannot be kept there") as e:
        cache.get("k")
    assert "\n" not in str(e.value)
    with pytest.raises(UserError, match="its answers cannot be counted") as e:
        ResponseCache(path).asked()
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("has_digest", [True, False])
def test_a_text_that_is_no_utf_8_is_asked_again(has_digest: bool, tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with ResponseCache(path) as cache:
        cache.put("k", ANSWER)
    with sqlite3.connect(path) as connection:
        raw = b'["\xff\xfe", "stop", []]'
        connection.execute("UPDATE answers SET raw = CAST(? AS TEXT)", (raw,))
        if not has_digest:
            connection.execute("UPDATE answers SET digest = NULL")
    connection.close()
    with ResponseCache(path) as cache:
        assert cache.get("k") is None
        cache.put("k", ANSWER)
        assert cache.get("k") == ANSWER


@pytest.mark.parametrize(
    "change",
    ["SET raw = replace(raw, 'Yes', 'Yep')", "SET prompt_tokens = 11", "SET key = 'other'"],
)
def test_a_row_that_somebody_changed_counts_no_more(change: str, tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with ResponseCache(path) as cache:
        cache.put("k", ANSWER)
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE answers {change}")
    connection.close()
    with ResponseCache(path) as cache:
        assert cache.get("k") is None
        assert cache.get("other") is None


def make_earlier(path: Path, *, keeps_log: bool = False) -> None:
    """A file of the version before, with :data:`ANSWER` under ``k``, perhaps still in its log."""
    connection = sqlite3.connect(path)
    with connection:
        if keeps_log:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "CREATE TABLE answers (key TEXT PRIMARY KEY, raw TEXT NOT NULL, path TEXT NOT NULL, "
            "model TEXT NOT NULL, prompt_tokens INTEGER, answer_tokens INTEGER, latency_s REAL, "
            "asked INTEGER NOT NULL) WITHOUT ROWID"
        )
        raw = json.dumps(["a \U0001f600\n\0", "stop", [["Yes", -0.1], ["No", -2.5]]])
        row = ("k", raw, "re-asked", "m", 10, None, 0.25, 2)
        connection.execute("INSERT INTO answers VALUES (?,?,?,?,?,?,?,?)", row)
        connection.execute("PRAGMA user_version = 1")
    if keeps_log:
        log = path.with_name(f"{path.name}-wal").read_bytes()
        main = path.read_bytes()
    connection.close()
    if keeps_log:  # as a kill leaves them
        path.write_bytes(main)
        path.with_name(f"{path.name}-wal").write_bytes(log)


def test_answers_of_an_earlier_version_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    make_earlier(path)
    with ResponseCache(path) as cache:
        assert cache.get("k") == ANSWER
        cache.put("l", ANSWER)
    with ResponseCache(path) as cache:
        assert cache.get("k") == cache.get("l") == ANSWER


def test_damaged_answers_of_another_cache_are_not_added(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    with ResponseCache(other) as cache:
        cache.put("k", ANSWER)
        cache.put("l", ANSWER)
    with contextlib.closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("UPDATE answers SET raw = CAST(x'ff22' AS TEXT) WHERE key = 'k'")
    with ResponseCache(tmp_path / "answers.sqlite") as cache:
        cache.add_all(other)
        assert (cache.get("k"), cache.get("l")) == (None, ANSWER)
        other.write_text("no database")
        with pytest.raises(UserError, match=r"other\.sqlite: its answers cannot be read"):
            cache.add_all(other)
    with ResponseCache(tmp_path / "answers.sqlite") as cache:
        assert cache.get("l") == ANSWER


_READS = """
import sys
from pathlib import Path
from riveg.llm.response_cache import ResponseCache

with ResponseCache(Path(sys.argv[1])) as cache:
    print(ascii(cache.get("k")))
    print([one.answers for one in cache.asked()])
"""


@needs_setpriv
@pytest.mark.slow  # starts processes
@pytest.mark.parametrize("keeps_log", [False, True])
def test_answers_that_cannot_be_written_are_read(tmp_path: Path, keeps_log: bool) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    make_earlier(folder / "answers.sqlite", keeps_log=keeps_log)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for path in (*before, folder):
        path.chmod(path.stat().st_mode & ~0o222)
    command = [sys.executable, "-c", _READS, str(folder / "answers.sqlite")]
    done = subprocess.run(
        [*WITHOUT_PRIVILEGES, *command], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.stdout, done.stderr) == (ascii(ANSWER) + "\n[1]\n", "")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    folder.chmod(0o755)


def write_many(path: Path, who: str, count: int) -> None:
    with ResponseCache(path) as cache:
        for number in range(count):
            cache.put(f"{who}-{number}", ANSWER)
            cache.put(f"shared-{number}", ANSWER)


def test_several_threads_write_one_store(tmp_path: Path) -> None:
    with ResponseCache(tmp_path / "answers.sqlite") as cache:

        def work(who: int) -> None:
            for number in range(40):
                cache.put(f"{who}-{number}", ANSWER)
                assert cache.get(f"{who}-{number}") == ANSWER

        threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(cache.get(f"{who}-{number}") for who in range(4) for number in range(40))


def test_several_processes_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=write_many, args=(path, who, 50)) for who in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    with ResponseCache(path) as cache:
        assert all(cache.get(f"{who}-{at}") for who in ("a", "b", "shared") for at in range(50))


def put_in_turn(folder: Path, barriers: list[threading.Barrier]) -> None:
    for number, barrier in enumerate(barriers):
        barrier.wait(60)
        with ResponseCache(folder / f"{number}.sqlite") as cache:
            cache.put("k", ANSWER)


@pytest.mark.slow
def test_several_processes_make_a_file_at_once(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    barriers = [spawn.Barrier(4) for _ in range(20)]
    workers = [spawn.Process(target=put_in_turn, args=(tmp_path, barriers)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * 4
