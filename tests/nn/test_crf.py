"""The linear-chain CRF against the sum over all paths, and against pytorch-crf."""

import math
from collections.abc import Sequence
from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchcrf import CRF

from riveg.nn.crf import LinearChainCrf
from riveg.text.tag_schemes import as_bio, scheme_named
from riveg.types import Span

BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
BIOES = ("O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "I-LOC", "E-LOC", "S-LOC")


def layer(tags: Sequence[str], seed: int, learned: bool = True) -> LinearChainCrf:
    torch.manual_seed(seed)
    crf = LinearChainCrf(tags, learned=learned)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    return crf


def is_legal(path: Sequence[str], name: str) -> bool:
    return not list(scheme_named(name).irregular(path))


def all_paths(
    crf: LinearChainCrf, emissions: Tensor, name: str
) -> list[tuple[tuple[int, ...], float]]:
    """Every legal tag sequence with its score."""
    found = []
    for path in product(range(len(crf.tags)), repeat=len(emissions)):
        if not is_legal([crf.tags[one] for one in path], name):
            continue
        score = sum(float(emissions[word, tag]) for word, tag in enumerate(path))
        if crf.starts is not None and crf.follows is not None and crf.ends is not None:
            score += float((crf.starts[path[0]] + crf.ends[path[-1]]).detach())
            score += sum(float(crf.follows[a, b].detach()) for a, b in pairwise(path))
        found.append((path, score))
    return found


def log_sum(scores: Sequence[float]) -> float:
    top = max(scores)
    return top + math.log(sum(math.exp(score - top) for score in scores))


schemes = st.sampled_from([(BIO, "bio"), (BIOES, "bioes")])
cuts = st.tuples(st.integers(0, 1), st.integers(2, 3), st.integers(2, 3)) | st.just((0, 1, 1))


@given(schemes, st.integers(0, 10_000), st.booleans(), cuts)
@settings(max_examples=30, deadline=None)
@pytest.mark.slow
def test_everything_equals_the_sum_over_all_paths(
    scheme: tuple[tuple[str, ...], str], seed: int, learned: bool, cuts: tuple[int, ...]
) -> None:
    tags, name = scheme
    start, end, length = sorted(cuts)
    crf = layer(tags, seed, learned)
    emissions = 2 * torch.randn(1, length, len(tags))
    mask = torch.ones(1, length, dtype=torch.bool)
    paths = all_paths(crf, emissions[0], name)
    total = log_sum([score for _, score in paths])

    path, score = paths[seed % len(paths)]
    likelihood = crf.log_likelihood(emissions, torch.tensor([path]), mask)
    assert likelihood.item() == pytest.approx(score - total, abs=1e-4)

    best = max(score for _, score in paths)
    (decoded,) = crf.decode(emissions, mask)
    assert dict(paths)[tuple(decoded)] == pytest.approx(best, abs=1e-4)

    marginals = crf.marginals(emissions, mask)[0]
    for word in range(length):
        for tag in range(len(tags)):
            through = [score for path, score in paths if path[word] == tag]
            expected = math.exp(log_sum(through) - total) if through else 0.0
            assert marginals[word, tag].item() == pytest.approx(expected, abs=1e-5)

    span = Span(start, end)
    for label in ("PER", "LOC"):
        holding = [
            score
            for path, score in paths
            if (span, label) in scheme_named(name).spans([tags[one] for one in path])
        ]
        expected = math.exp(log_sum(holding) - total) if holding else 0.0
        ((found,),) = crf.span_probabilities(emissions, mask, [[(span, label)]])
        assert found == pytest.approx(expected, abs=1e-5)


@given(st.integers(0, 10_000), st.lists(st.integers(1, 9), min_size=2, max_size=5))
@settings(max_examples=8, deadline=None)
def test_a_batch_gives_what_each_sentence_gives(seed: int, lengths: list[int]) -> None:
    crf = layer(BIOES, seed)
    longest = max(lengths)
    emissions = torch.randn(len(lengths), longest, len(BIOES))
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    tags = torch.zeros(len(lengths), longest, dtype=torch.long)
    spans = [[(Span(0, length), "PER")] for length in lengths]
    likelihoods = crf.log_likelihood(emissions, tags, mask)
    decoded = crf.decode(emissions, mask)
    marginals = crf.marginals(emissions, mask)
    probabilities = crf.span_probabilities(emissions, mask, spans)
    for row, length in enumerate(lengths):
        alone, whole = emissions[row : row + 1, :length], torch.ones(1, length, dtype=torch.bool)
        likelihood = crf.log_likelihood(alone, tags[row : row + 1, :length], whole)
        assert likelihoods[row].item() == pytest.approx(likelihood.item(), abs=1e-5)
        assert decoded[row] == crf.decode(alone, whole)[0]
        assert torch.allclose(marginals[row, :length], crf.marginals(alone, whole)[0], atol=1e-6)
        assert not marginals[row, length:].any()
        one = crf.span_probabilities(alone, whole, spans[row : row + 1])
        assert probabilities[row] == pytest.approx(one[0], abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_it_agrees_with_pytorch_crf(seed: int) -> None:
    crf = layer(BIO, seed)
    other = CRF(len(BIO), batch_first=True)
    with torch.no_grad():
        emissions = torch.zeros(1)
        other.start_transitions.copy_(crf._potential("starts", emissions))
        other.transitions.copy_(crf._potential("follows", emissions))
        other.end_transitions.copy_(crf._potential("ends", emissions))
    emissions = torch.randn(3, 6, len(BIO), requires_grad=True)
    mask = torch.arange(6) < torch.tensor([[6], [4], [1]])
    tags = torch.tensor([[0, 1, 2, 0, 3, 4], [1, 2, 2, 0, 0, 0], [3, 0, 0, 0, 0, 0]])
    own = crf.log_likelihood(emissions, tags, mask)
    theirs = other(emissions, tags, mask=mask, reduction="none")
    assert torch.allclose(own, theirs, atol=1e-4)
    assert crf.decode(emissions, mask) == other.decode(emissions, mask=mask)
    (gradient,) = torch.autograd.grad(own.sum(), emissions, retain_graph=True)
    (expected,) = torch.autograd.grad(theirs.sum(), emissions)
    assert torch.allclose(gradient, expected, atol=1e-5)


def test_gradients_are_the_marginals() -> None:
    """Of the log partition (Sutton and McCallum 2012, section 2.3), and padding has none."""
    crf = layer(BIOES, 3)
    emissions = torch.randn(2, 5, len(BIOES), requires_grad=True)
    mask = torch.arange(5) < torch.tensor([[5], [2]])
    tags = torch.zeros(2, 5, dtype=torch.long)
    (gradient,) = torch.autograd.grad(crf.log_likelihood(emissions, tags, mask).sum(), emissions)
    gold = torch.nn.functional.one_hot(tags, len(BIOES)) * mask[:, :, None]
    assert torch.allclose(gradient, gold - crf.marginals(emissions, mask), atol=1e-5)


def test_illegal_transitions_stay_impossible_however_it_is_trained() -> None:
    crf = layer(BIO, 0)
    emissions = torch.zeros(1, 2, len(BIO))
    emissions[0, :, 2] = 50.0  # I-PER, which may not begin a sentence
    mask = torch.ones(1, 2, dtype=torch.bool)
    for _ in range(5):
        loss = -crf.log_likelihood(emissions, torch.tensor([[1, 2]]), mask).sum()
        gradients = torch.autograd.grad(loss, list(crf.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(crf.parameters(), gradients, strict=True):
                parameter.sub_(gradient, alpha=10.0)
    path = [BIO[tag] for tag in crf.decode(emissions, mask)[0]]
    assert path == as_bio(path)
    assert crf.marginals(emissions, mask)[0, 0, 2].item() == 0.0
    assert not [name for name in crf.state_dict() if "illegal" in name]


def test_it_counts_in_float32_under_autocast() -> None:
    crf = layer(BIO, 1)
    emissions = torch.randn(1, 6, len(BIO))
    mask = torch.ones(1, 6, dtype=torch.bool)
    tags = torch.zeros(1, 6, dtype=torch.long)
    plain = crf.log_likelihood(emissions, tags, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(crf.log_likelihood(emissions, tags, mask), plain)


def test_a_field_without_scores_has_no_parameters_and_a_sentence_without_words_costs_nothing() -> (
    None
):
    crf = LinearChainCrf(BIO, learned=False)
    assert not list(crf.parameters())
    emissions, mask = torch.randn(2, 3, len(BIO)), torch.tensor([[True] * 3, [False] * 3])
    likelihood = crf.log_likelihood(emissions, torch.zeros(2, 3, dtype=torch.long), mask)
    assert likelihood[1].item() == 0.0
    assert crf.decode(emissions, mask)[1] == []
