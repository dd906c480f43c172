import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.images.directions import runs_right_to_left, seen_order


@pytest.mark.parametrize(
    ("words", "right_to_left", "seen"),
    [
        ("Ann met Bob", False, "Ann met Bob"),
        ("Met محمد صلاح today", False, "Met صلاح محمد today"),
        ("التقى محمد صلاح", True, "صلاح محمد التقى"),
        ("زار New York Times أمس", True, "أمس New York Times زار"),
        ("שלום 12 עולם", False, "עולם 12 שלום"),
        ("Ann 12 שלום !", False, "Ann 12 שלום !"),
        ("שלום Ann !", True, "! Ann שלום"),
        ("", True, ""),
    ],
)
def test_words_are_seen_in_order(words: str, right_to_left: bool, seen: str) -> None:
    line = words.split()
    order = seen_order(line, right_to_left=right_to_left)
    assert [line[place] for place in order] == seen.split()


@given(st.lists(st.sampled_from(["Ann", "محمد", "12", "!", "שלום"])), st.booleans())
def test_every_word_is_seen_once(words: list[str], right_to_left: bool) -> None:
    order = seen_order(words, right_to_left=right_to_left)
    assert sorted(order) == list(range(len(words)))
    if not any(runs_right_to_left(word) for word in words) and not right_to_left:
        assert order == sorted(order)
