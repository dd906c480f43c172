import multiprocessing
import sqlite3
import threading
from pathlib import Path

import pytest

from riveg.errors import UserError
from riveg.llm.answer_store import AnswerStore, StoredAnswer
from riveg.llm.conversation import RawAnswer

ANSWER = StoredAnswer(
    RawAnswer("a \U0001f600\n\0", "stop", (("Yes", -0.1), ("No", -2.5))),
    "re-asked",
    "m",
    prompt_tokens=10,
    answer_tokens=None,
    latency_s=0.25,
    asked=2,
)


@pytest.mark.parametrize("in_memory", [True, False])
def test_an_answer_comes_back_as_it_was(in_memory: bool, tmp_path: Path) -> None:
    with AnswerStore(None if in_memory else tmp_path / "answers.sqlite") as store:
        assert store.get("k") is None
        store.put("k", ANSWER)
        assert store.get("k") == ANSWER
        other = StoredAnswer(RawAnswer("half \ud83d", "stop"), "plain", "m")
        store.put("k", other)
        assert store.get("k") == other


def test_the_file_is_made_by_the_first_answer_and_outlives_the_store(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with AnswerStore(path) as store:
        assert store.get("k") is None
        assert not path.exists()
        store.put("k", ANSWER)
    assert [file.name for file in tmp_path.iterdir()] == ["answers.sqlite"]
    with AnswerStore(path) as store:
        assert store.get("k") == ANSWER


@pytest.mark.parametrize("version", [2, 99])
def test_a_file_of_another_version_is_refused(version: int, tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    with pytest.raises(UserError, match=f"answers of schema {version}"):
        AnswerStore(path).get("k")


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    path.write_text("these are no answers " * 99)
    with pytest.raises(UserError, match=r"answers\.sqlite: .* move the file away"):
        AnswerStore(path).put("k", ANSWER)
    with pytest.raises(UserError, match="answers cannot be kept there"):
        AnswerStore(tmp_path / "no" / "folder.sqlite").put("k", ANSWER)


def write_many(path: Path, who: str, count: int) -> None:
    with AnswerStore(path) as store:
        for number in range(count):
            store.put(f"{who}-{number}", ANSWER)
            store.put(f"shared-{number}", ANSWER)


def test_several_threads_write_one_store(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "answers.sqlite") as store:

        def work(who: int) -> None:
            for number in range(40):
                store.put(f"{who}-{number}", ANSWER)
                assert store.get(f"{who}-{number}") == ANSWER

        threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(store.get(f"{who}-{number}") for who in range(4) for number in range(40))


def test_several_processes_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=write_many, args=(path, who, 50)) for who in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    with AnswerStore(path) as store:
        assert all(store.get(f"{who}-{at}") for who in ("a", "b", "shared") for at in range(50))
