"""The embedded tagger learns what a larger one says of each word."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from helpers.tiny_learners import tiny_learner  # noqa: E402
from helpers.tiny_taggers import POSTS, save_encoder  # noqa: E402
from helpers.training import Heard  # noqa: E402
from transformers import BertModel  # noqa: E402

from riveg.errors import UserError  # noqa: E402
from riveg.geometry.arrays import Floats  # noqa: E402
from riveg.nn.encoders import load_encoder, load_fast_tokenizer  # noqa: E402
from riveg.nn.sequence_tagger import SequenceTagger  # noqa: E402
from riveg.nn.tagger_design import TaggerDesign, TaggerSettings, write_settings  # noqa: E402
from riveg.nn.tagger_folder import write_network  # noqa: E402
from riveg.text.bio import bio_tags  # noqa: E402
from riveg.training.tagger.data import TaggedSentence  # noqa: E402
from riveg.training.tagger.teacher import Teacher  # noqa: E402
from riveg.training.tagger.trainee import TAGS, TaggerTrainee, TaskSentence  # noqa: E402

LABELS = ("PER", "LOC", "ORG")
NAMES = bio_tags(LABELS)
SENTENCES = [
    TaggedSentence(tuple(text.split()), tuple(tags.split()), tuple("x" * len(text.split())))
    for text, tags, _ in POSTS
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> BertModel:
    folder = save_encoder(tmp_path_factory.mktemp("encoder"), "bert")
    found: BertModel = BertModel.from_pretrained(folder, add_pooling_layer=False)
    return found


def save_teacher(
    folder: Path, *, crf: bool = True, tags: Sequence[str] = NAMES, **settings: object
) -> Path:
    """A teacher with random weights."""
    save_encoder(folder, "bert")
    design = TaggerDesign(tags=tuple(tags), crf=crf)
    torch.manual_seed(3)
    network = SequenceTagger(load_encoder(folder), design)
    write_network(folder, network, load_fast_tokenizer(folder))
    write_settings(folder, TaggerSettings(design=design, max_pieces=40, **settings))
    return folder


@pytest.mark.parametrize("crf", [True, False])
def test_a_teacher_gives_probabilities_in_the_learners_order(crf: bool, tmp_path: Path) -> None:
    folder = save_teacher(tmp_path, crf=crf)
    texts = [["Ann", "met", "Bob"] * 20, [], ["Oslo"]]
    heard = Heard()
    answers = Teacher(folder, NAMES)(texts, heard)
    assert [len(rows) for rows in answers] == [60, 0, 1]
    assert all(np.allclose(rows.sum(axis=1), 1, atol=1e-3) for rows in answers)
    assert heard.notes == ["teacher: 3 of 3 sentences"]
    turned = Teacher(folder, NAMES[::-1])(texts, heard)
    assert np.allclose(turned[0][:, ::-1], answers[0], atol=1e-6)
    # A lone word cannot be inside an entity that began before it.
    assert answers[2][0][NAMES.index("I-PER")] < 1e-6


def test_a_teacher_that_cannot_teach_is_refused(tmp_path: Path) -> None:
    folder = save_teacher(tmp_path)
    with pytest.raises(UserError, match=r"tags B-LOC, .* but `labels` makes B-LOC, I-LOC, O"):
        Teacher(folder, bio_tags(["LOC"]))
    save_teacher(tmp_path, knowledge="appended")
    with pytest.raises(UserError, match="was trained with knowledge"):
        Teacher(folder, NAMES)


def test_a_teacher_who_says_what_is_right_changes_nothing(encoder: BertModel) -> None:
    rows = [TaskSentence(TAGS, sentence) for sentence in SENTENCES]
    right = [replace(row, answers=exact(row.sentence.tags)) for row in rows]
    trainee = tiny_learner(encoder, NAMES, trust=0.7)
    assert loss(trainee, right) == pytest.approx(loss(trainee, rows), rel=1e-5)


def test_its_answers_weigh_as_much_as_it_is_trusted(encoder: BertModel) -> None:
    rows = [TaskSentence(TAGS, sentence) for sentence in SENTENCES]
    wrong = [replace(row, answers=exact(["B-ORG"] * len(row.sentence.tags))) for row in rows]
    gold, deaf, half, blind = (
        loss(tiny_learner(encoder, NAMES, trust=trust), some)
        for trust, some in ((0.0, rows), (0.0, wrong), (0.5, wrong), (1.0, wrong))
    )
    assert deaf == pytest.approx(gold, rel=1e-5)
    assert half == pytest.approx((gold + blind) / 2, rel=1e-5)
    assert abs(gold - blind) > 0.01


def test_of_other_texts_only_its_answers_are_learnt(encoder: BertModel) -> None:
    unknown = TaggedSentence(SENTENCES[0].tokens, ("B-name",) * len(SENTENCES[0].tokens))
    answers = exact(SENTENCES[0].tags)
    trainee = tiny_learner(encoder, NAMES, trust=0.2)
    found = loss(trainee, [TaskSentence(None, unknown, answers)])
    assert found == pytest.approx(loss(trainee, [TaskSentence(TAGS, SENTENCES[0])]), rel=1e-5)


def test_it_is_silent_about_words_that_it_did_not_read(encoder: BertModel) -> None:
    one = TaggedSentence(("Bob", "met"), ("B-PER", "O"), ("x", "O"))
    trainee = tiny_learner(
        encoder, NAMES, trust=0.5, swapper=lambda *_: replace(one, tokens=("Ann", "met"))
    )
    batch = trainee.batch([TaskSentence(TAGS, one, exact(one.tags))], random.Random(0))
    assert "answers" not in batch
    kept = tiny_learner(encoder, NAMES, trust=0.5).batch(
        [TaskSentence(TAGS, one, exact(one.tags)), TaskSentence("other", one)], random.Random(0)
    )
    assert [int(row.sum() * 2) for row in kept["trust"]] == [2, 0]


def exact(tags: Sequence[str]) -> Floats:
    return np.eye(len(NAMES))[[NAMES.index(tag) for tag in tags]]


def loss(trainee: TaggerTrainee, rows: Sequence[TaskSentence]) -> float:
    network = trainee.network().eval()
    with torch.inference_mode():
        return float(trainee.loss(network, trainee.batch(rows, random.Random(0))))
