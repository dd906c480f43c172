"""Words are pushed to where the loss grows, no further than asked, and the loss there counts."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")
pytest.importorskip("transformers", reason="the extra train is not installed")

from helpers.tiny_learners import tiny_learner  # noqa: E402
from helpers.tiny_taggers import save_encoder  # noqa: E402
from transformers import BertModel  # noqa: E402

from riveg.text.bio import bio_tags  # noqa: E402
from riveg.training.tagger.data import TaggedSentence  # noqa: E402
from riveg.training.tagger.trainee import (  # noqa: E402
    TAGS,
    TaskSentence,
    steepest_push,
)

NAMES = bio_tags(["PER", "LOC"])
SENTENCES = [
    TaggedSentence(("Ann", "met", "Bob"), ("B-PER", "O", "B-PER"), ("x", "O", "x")),
    TaggedSentence(("Oslo",), ("B-LOC",), ("y",)),
]


def test_a_push_goes_up_the_slope_as_far_as_asked() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(2, 3, 4, requires_grad=True)
    weights = torch.randn(2, 3, 4)
    push = steepest_push((weights * vectors).sum(), vectors, 0.5)
    far = 0.5 * vectors.detach().norm(dim=-1).mean()
    assert torch.allclose(push.flatten(1).norm(dim=1), far.expand(2))
    along = torch.nn.functional.cosine_similarity(push.flatten(1), weights.flatten(1))
    assert torch.allclose(along, torch.ones(2))
    assert not push.requires_grad


def test_where_nothing_changes_the_loss_nothing_is_pushed() -> None:
    vectors = torch.randn(1, 2, 4, requires_grad=True)
    assert not steepest_push((0 * vectors).sum(), vectors, 1.0).any()


def test_the_loss_of_pushed_words_is_added_and_learnt_from(tmp_path: Path) -> None:
    folder = save_encoder(tmp_path / "encoder", "bert")
    base = BertModel.from_pretrained(folder, add_pooling_layer=False)
    rows = [TaskSentence(TAGS, sentence) for sentence in SENTENCES]
    plain, none, far = (loss(base, rows, adversarial) for adversarial in (0.0, 1e-6, 1.0))
    assert none == pytest.approx(2 * plain, rel=1e-4), "not pushed, the same loss twice"
    assert far > 2.01 * plain


def loss(base: BertModel, rows: list[TaskSentence], adversarial: float) -> float:
    trainee = tiny_learner(base, NAMES, adversarial=adversarial)
    network = trainee.network().eval()
    found = trainee.loss(network, trainee.batch(rows, random.Random(0)))
    found.backward()
    assert network.shapes.weight.grad is not None
    return float(found.detach())
