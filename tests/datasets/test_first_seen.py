from __future__ import annotations

import tracemalloc

import pytest

from riveg.datasets.first_seen import FirstSeen


def test_the_first_place_is_remembered() -> None:
    with FirstSeen() as seen:
        assert seen.place_of("a", "one") is None
        assert seen.place_of("b", "two") is None
        assert seen.place_of("a", "three") == "one"
        assert seen.place_of("a", "four") == "one"


@pytest.mark.parametrize("key", ["", "\0", "a\0b", "\ud800", "x" * 100_000])
def test_any_string_is_a_key(key: str) -> None:
    with FirstSeen() as seen:
        assert seen.place_of(key, key) is None
        assert seen.place_of(key, "later") == key
        assert seen.place_of(f"{key}!", "other") is None


@pytest.mark.slow
def test_python_keeps_nothing_of_many_keys() -> None:
    with FirstSeen() as seen:
        tracemalloc.start()
        for number in range(100_000):
            assert seen.place_of(f"id-{number}", "somewhere") is None
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert held < 100_000
