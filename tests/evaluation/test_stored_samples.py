"""A mapping in a file is the mapping that it was made of."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.evaluation.stored_samples import StoredSamples

GROWTH = """
import resource
for count in (20_000, 200_000):
    stored = StoredSamples((f"p{number}", ["x" * 40]) for number in range(count))
    assert len(stored) == count and stored["p9999"] == ["x" * 40]
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

FULL_DISK = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    StoredSamples((f"p{number}", "x" * 1000) for number in range(20_000))
except UserError as error:
    print(error)
"""

Values = dict[str, tuple[str, int | None]]


def said_by(script: str) -> str:
    """What a process of its own prints: limits and peaks are of a whole process."""
    head = (
        "from riveg.errors import UserError\n"
        "from riveg.evaluation.stored_samples import StoredSamples\n"
    )
    words = [sys.executable, "-c", head + script]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@given(st.dictionaries(st.text(), st.tuples(st.text(), st.none() | st.integers())), st.text())
def test_it_holds_what_a_dictionary_holds(values: Values, other: str) -> None:
    stored = StoredSamples(values.items())
    assert dict(stored) == values
    assert list(stored) == list(values)
    assert len(stored) == len(values)
    assert (other in stored) == (other in values)
    assert stored.get(other) == values.get(other)
    assert {*stored.keys()} - {other} == {*values} - {other}


def test_many_are_held_in_their_order() -> None:
    values = {f"p{number * 7919 % 5003}": "x" * (number % 60) for number in range(5003)}
    stored = StoredSamples(values.items())
    assert list(stored.items()) == list(values.items())


@pytest.mark.slow
def test_memory_does_not_grow_with_the_samples() -> None:
    few, many = map(int, said_by(GROWTH).split())
    assert many < 1.1 * few


def test_a_later_value_replaces_an_earlier_one() -> None:
    assert dict(StoredSamples([("a", 1), ("b", 2), ("a", 3)])) == {"a": 3, "b": 2}


def test_a_full_disk_is_told() -> None:
    said = said_by(FULL_DISK)
    assert said.startswith("the gold cannot be kept, its temporary file has no room")
    assert "set TMPDIR" in said
