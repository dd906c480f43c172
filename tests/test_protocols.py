"""Items that are told of while their batch is still at work."""

from __future__ import annotations

from threading import Thread

from riveg.protocols import current_listener, finish, finishing, listening


def test_what_is_finished_in_the_block_is_heard() -> None:
    heard: list[int] = []
    finish()
    with listening(heard.append):
        finish(2)
        assert list(finishing("ab")) == ["a", "b"]
    finish()
    assert heard == [2, 1, 1]


def test_another_thread_tells_the_same_listener() -> None:
    heard: list[int] = []
    with listening(heard.append):
        thread = Thread(target=current_listener(), args=(3,))
        thread.start()
        thread.join()
    assert heard == [3]
