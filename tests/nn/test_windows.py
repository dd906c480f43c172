"""Windows over the words of a long text."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from riveg.nn.windows import word_windows

ROOM = 8


@given(st.lists(st.integers(0, ROOM), max_size=60), st.integers(0, 6))
def test_every_word_has_one_window_that_holds_it(lengths: list[int], overlap: int) -> None:
    windows = word_windows(lengths, ROOM, overlap)
    assert [word for window in windows for word in window.owned] == list(range(len(lengths)))
    for words, owned in windows:
        assert {*owned} <= {*words}
        assert sum(lengths[word] for word in words) <= ROOM


def test_a_word_has_context_on_both_sides_of_a_cut() -> None:
    windows = word_windows([1] * 40, room=12, overlap=6)
    for left, right in pairwise(windows):
        cut = left.owned.stop
        assert left.words.stop - cut == 3
        assert cut - right.words.start == 3
