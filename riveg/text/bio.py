"""BIO tags to typed spans and back."""

from __future__ import annotations

from collections.abc import Sequence

from riveg.types import Span

OUTSIDE = "O"


def bio_tags(labels: Sequence[str]) -> tuple[str, ...]:
    """``O``, then ``B-`` and ``I-`` of every label."""
    return (OUTSIDE, *(f"{prefix}-{label}" for label in labels for prefix in "BI"))


def bio_to_spans(tags: Sequence[str]) -> tuple[tuple[Span, str], ...]:
    """Spans with their labels, in order.

    An ``I-`` that continues nothing opens a new entity, as conlleval and the published counts of
    Twitter-GMNER v1 have it.

    >>> bio_to_spans(["B-PER", "I-PER", "O", "I-LOC"])
    ((Span(start=0, end=2), 'PER'), (Span(start=3, end=4), 'LOC'))
    """
    spans: list[tuple[Span, str]] = []
    start, label = 0, ""
    for position, tag in enumerate([*tags, OUTSIDE]):
        prefix, _, name = tag.partition("-")
        if prefix == "I" and name == label:
            continue
        if label:
            spans.append((Span(start, position), label))
        start, label = position, "" if tag == OUTSIDE else name
    return tuple(spans)


def spans_to_bio(spans: Sequence[tuple[Span, str]], length: int) -> tuple[str, ...]:
    """Tags of a sentence of ``length`` tokens; the spans must not overlap.

    Raises:
        ValueError: If two spans overlap or one runs past the end.
    """
    tags = [OUTSIDE] * length
    for span, label in spans:
        if span.end > length or any(tag != OUTSIDE for tag in tags[span.start : span.end]):
            raise ValueError(f"span {span} overlaps another or ends past token {length}")
        tags[span.start : span.end] = [f"B-{label}"] + [f"I-{label}"] * (span.end - span.start - 1)
    return tuple(tags)
