"""BIO tags and spans."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.text.bio import bio_to_spans, spans_to_bio
from riveg.types import Span


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O O", []),
        ("B-A I-A O", [(0, 2, "A")]),
        ("B-A B-A", [(0, 1, "A"), (1, 2, "A")]),  # B- always opens
        ("O I-A I-A", [(1, 3, "A")]),  # an orphan opens one, as the v1 counts have it
        ("B-A I-B", [(0, 1, "A"), (1, 2, "B")]),  # another type is another entity
        ("I-A O I-A", [(0, 1, "A"), (2, 3, "A")]),
        ("", []),
    ],
)
def test_spans(tags: str, spans: list[tuple[int, int, str]]) -> None:
    found = [(span.start, span.end, label) for span, label in bio_to_spans(tags.split())]
    assert found == spans


@st.composite
def span_lists(draw: st.DrawFn) -> tuple[list[tuple[Span, str]], int]:
    position, spans = 0, []
    for _ in range(draw(st.integers(0, 4))):
        start = position + draw(st.integers(0, 3))
        position = start + draw(st.integers(1, 3))
        spans.append((Span(start, position), draw(st.sampled_from("AB"))))
    return spans, position + draw(st.integers(0, 3))


@given(span_lists())
def test_there_and_back(case: tuple[list[tuple[Span, str]], int]) -> None:
    spans, length = case
    assert list(bio_to_spans(spans_to_bio(spans, length))) == spans


@pytest.mark.parametrize("spans", [[(Span(0, 2), "A"), (Span(1, 3), "B")], [(Span(2, 9), "A")]])
def test_spans_that_do_not_fit(spans: list[tuple[Span, str]]) -> None:
    with pytest.raises(ValueError, match="overlaps another or ends past"):
        spans_to_bio(spans, 4)
