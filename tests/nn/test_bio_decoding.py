"""Decoding against brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from riveg.nn.bio_decoding import decode, log_softmax, viterbi

TAGS = ("O", "B-A", "I-A", "B-B", "I-B")

logit_rows = st.integers(1, 4).flatmap(
    lambda words: arrays(np.float64, (words, len(TAGS)), elements=st.floats(-8, 8))
)


def is_legal(path: tuple[int, ...]) -> bool:
    names = ["O", *(TAGS[index] for index in path)]
    return all(
        not after.startswith("I-") or before[2:] == after[2:]
        for before, after in itertools.pairwise(names)
    )


@given(logit_rows)
def test_the_path_is_the_best_of_all_legal_ones(logits: np.ndarray) -> None:
    scores = log_softmax(logits)

    def total(path: tuple[int, ...]) -> float:
        return float(sum(scores[row, column] for row, column in enumerate(path)))

    legal = filter(is_legal, itertools.product(range(len(TAGS)), repeat=len(logits)))
    found = tuple(viterbi(scores, TAGS))
    assert is_legal(found)
    assert total(found) == pytest.approx(max(map(total, legal)))


@given(logit_rows)
def test_confidences_and_distributions_are_probabilities(logits: np.ndarray) -> None:
    for found in decode(logits, TAGS):
        assert 0 < found.confidence <= 1
        assert sum(found.label_scores.values()) == pytest.approx(1)
        assert set(found.label_scores) == {"A", "B"}


def test_a_sure_span_is_surer_than_a_doubtful_one() -> None:
    sure = np.array([[0, 9, 0, 0, 0], [0, 0, 9, 0, 0], [9, 0, 0, 0, 0]], dtype=np.float64)
    (first,) = decode(sure, TAGS)
    (second,) = decode(sure / 4, TAGS)
    assert (first.span.start, first.span.end, first.label) == (0, 2, "A")
    assert first.confidence > second.confidence
    assert first.label_scores["A"] > second.label_scores["A"] > 0.5


def test_no_words_no_entities() -> None:
    assert decode(np.zeros((0, len(TAGS))), TAGS) == ()
