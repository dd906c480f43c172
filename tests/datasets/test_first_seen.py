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


def test_keys_that_have_long_been_stored_are_known() -> None:
    with FirstSeen() as seen:
        for number in range(30_000):
            assert seen.place_of(f"id-{number}", f"line {number}") is None
        assert [seen.place_of(f"id-{n}", "later") for n in (0, 12_345, 29_999)] == [
            "line 0",
            "line 12345",
            "line 29999",
        ]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_keys() -> None:
    held = []
    with FirstSeen() as seen:
        tracemalloc.start()
        for number in range(200_000):
            assert seen.place_of(f"id-{number}", "somewhere") is None
            if number % 100_000 == 50_000:
                held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert held[1] < held[0] + 500_000
