"""From word-level tag logits to entities: constrained Viterbi, spans, probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riveg.geometry.arrays import Floats
from riveg.nn.tag_transitions import legal_transitions
from riveg.text.bio import OUTSIDE, bio_to_spans
from riveg.types import Span


@dataclass(frozen=True, slots=True)
class DecodedSpan:
    """A span with its label, the raw confidence in (0, 1), and the label distribution."""

    span: Span
    label: str
    confidence: float
    label_scores: dict[str, float]


def viterbi(log_probabilities: Floats, tags: Sequence[str]) -> list[int]:
    """The likeliest legal tag sequence; ties go to the first tag.

    *Shape:* ``log_probabilities (words, tags)``.
    """
    starts, follows, _ = legal_transitions(tuple(tags))
    penalty = np.where(follows, 0.0, -np.inf)
    best = np.where(starts, log_probabilities[0], -np.inf)
    back: list[NDArray[np.intp]] = []
    for step in log_probabilities[1:]:
        scores = best[:, None] + penalty
        back.append(scores.argmax(axis=0))
        best = scores.max(axis=0) + step
    path = [int(best.argmax())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    return path[::-1]


def log_softmax(logits: Floats) -> Floats:
    """The logarithm of the softmax over the last axis, computed without overflow.

    *Shape:* ``(..., tags)``, result the same.
    """
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def decode(logits: Floats, tags: Sequence[str]) -> tuple[DecodedSpan, ...]:
    """Entities of one sentence.

    The confidence is the geometric mean of the words' tag probabilities and of the probability that
    the word behind the span does not continue it. It is not calibrated.

    *Shape:* ``logits (words, tags)``.
    """
    if not len(logits):
        return ()
    log_probabilities = log_softmax(logits.astype(np.float64))
    path = viterbi(log_probabilities, tags)
    labels = sorted({tag[2:] for tag in tags if tag != OUTSIDE})
    return tuple(
        _decoded(span, label, log_probabilities, tags, labels)
        for span, label in bio_to_spans([tags[index] for index in path])
    )


def _decoded(
    span: Span, label: str, log_probabilities: Floats, tags: Sequence[str], labels: list[str]
) -> DecodedSpan:
    by_label = {name: _span_log_probability(span, name, log_probabilities, tags) for name in labels}
    peak = max(by_label.values())
    weights = {name: float(np.exp(value - peak)) for name, value in by_label.items()}
    total = sum(weights.values())
    words = span.end - span.start + (span.end < len(log_probabilities))
    return DecodedSpan(
        span=span,
        label=label,
        confidence=float(np.exp(by_label[label] / words)),
        label_scores={name: weight / total for name, weight in weights.items()},
    )


def _span_log_probability(
    span: Span, label: str, log_probabilities: Floats, tags: Sequence[str]
) -> float:
    inside = tags.index(f"I-{label}")
    total = log_probabilities[span.start, tags.index(f"B-{label}")]
    total = total + log_probabilities[span.start + 1 : span.end, inside].sum()
    if span.end < len(log_probabilities):
        stops = 1.0 - float(np.exp(log_probabilities[span.end, inside]))
        total = total + np.log(max(stops, 1e-12))
    return float(total)
