"""Values inside a page: no text gets out, and positions are JavaScript's."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.report.scripts import inert_json, utf16_positions


@pytest.mark.slow  # seconds
@given(st.recursive(st.text() | st.integers() | st.none(), st.lists))
def test_values_come_back_and_hold_nothing_that_html_reads(value: object) -> None:
    written = inert_json(value)
    assert json.loads(written) == value
    assert written.isascii()
    assert not set("<>&\x00\r") & set(written)


def test_numbers_that_json_has_not_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        inert_json(float("nan"))


@given(st.text())
def test_positions_are_those_of_utf16(text: str) -> None:
    positions = utf16_positions(text)
    expected = [len(text[:end].encode("utf-16-le")) // 2 for end in range(len(text) + 1)]
    assert positions == expected
