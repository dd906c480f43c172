"""A mapping in a file is the mapping that it was made of."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.evaluation import stored_samples
from riveg.evaluation.stored_samples import StoredSamples

Values = dict[str, tuple[str, int | None]]


@given(st.dictionaries(st.text(), st.tuples(st.text(), st.none() | st.integers())), st.text())
def test_it_holds_what_a_dictionary_holds(values: Values, other: str) -> None:
    stored = StoredSamples(values.items())
    assert dict(stored) == values
    assert list(stored) == list(values)
    assert len(stored) == len(values)
    assert (other in stored) == (other in values)
    assert stored.get(other) == values.get(other)
    assert {*stored.keys()} - {other} == {*values} - {other}


def test_what_does_not_fit_into_memory_lies_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_samples, "_MOST_IN_MEMORY", 100)
    values = {f"p{number}": "x" * number for number in range(60)}
    assert dict(StoredSamples(values.items())) == values


def test_a_later_value_replaces_an_earlier_one() -> None:
    assert dict(StoredSamples([("a", 1), ("b", 2), ("a", 3)])) == {"a": 3, "b": 2}


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(stored_samples, "_MOST_IN_MEMORY", 100)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"the gold cannot be kept, .*set TMPDIR"):
        StoredSamples([("a", "x" * 1000)])
