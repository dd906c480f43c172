from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.llm.rate_limits import LONGEST_PAUSE_S, Pace, retry_after_s, wait_s

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        (" 0.5 ", 0.5),
        ("-3", 0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30),
        ("Thu, 01 Jan 2026 12:00:30 -0000", 30),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("9" * 400, None),
        ("Thu, 01 Jan 99999999999 12:00:00 GMT", None),
        ("Thu, 01 Jan 2026 12:00:00 +99999999999999999999", None),
        ("", None),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": header}, NOW) == seconds


def test_no_retry_after() -> None:
    assert retry_after_s({}, NOW) is None


@given(st.integers(1, 10_000), st.floats(0.01, 10), st.floats(0, 1))
def test_own_waits_grow_to_a_limit(failures: int, pause_s: float, chance: float) -> None:
    wait = wait_s(failures, pause_s, None, chance)
    assert 0 < wait <= LONGEST_PAUSE_S
    assert wait <= wait_s(failures + 1, pause_s, None, chance)


@given(st.integers(1, 99), st.floats(0, 600), st.floats(0, 1))
def test_what_a_server_asks_for_is_the_least(failures: int, asked: float, chance: float) -> None:
    assert asked <= wait_s(failures, 0.5, asked, chance) <= asked + 0.5


@given(st.floats(1, 6000), st.lists(st.floats(0, 3), min_size=1, max_size=30))
def test_a_pace_never_lets_more_through(per_minute: float, steps: list[float]) -> None:
    pace = Pace(per_minute)
    now, starts = 0.0, []
    for step in steps:
        now += step
        starts.append(now + pace.reserve(now))
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert all(gap >= 60 / per_minute - 1e-6 for gap in gaps)


def test_a_pace_without_a_limit_and_one_in_larger_units() -> None:
    free = Pace(None)
    assert [free.reserve(5.0) for _ in range(3)] == [0, 0, 0]
    tokens = Pace(6000)
    assert [tokens.reserve(0.0, 200) for _ in range(3)] == [0, 2, 4]
