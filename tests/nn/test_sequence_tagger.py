"""Heads, levels and distributions of the sequence tagger."""

import math
from pathlib import Path

import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "riveg[models]"')

import torch
from helpers.tiny_taggers import KINDS, POSTS, save_encoder
from torch import Tensor

from riveg.nn.encoders import load_encoder, load_fast_tokenizer, padding_id
from riveg.nn.sequence_tagger import FINE_TAGS, TAGS, SequenceTagger, by_row
from riveg.nn.tagger_decoding import found_entities, label_distribution
from riveg.nn.tagger_design import TaggerDesign
from riveg.nn.tagger_inputs import collate
from riveg.nn.word_pieces import WordPieceWindows

COARSE = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
FINE = ("O", "B-actor", "I-actor", "B-singer", "I-singer", "B-city", "I-city")
COARSE_OF = {"actor": "PER", "singer": "PER", "city": "LOC"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder"), "roberta")


def network(folder: Path, together: Tensor | None = None, **more: object) -> SequenceTagger:
    torch.manual_seed(1)
    values = {"tags": COARSE, "fine_tags": FINE, "shapes": True, "dropout": 0.0, **more}
    design = TaggerDesign.model_validate(values)
    return SequenceTagger(load_encoder(folder), design, together).eval()


def batch(folder: Path, max_pieces: int = 60) -> dict[str, Tensor]:
    windows = WordPieceWindows(load_fast_tokenizer(folder), max_pieces=max_pieces, overlap=2)
    return collate(
        [windows(text.split()) for text, _, _ in POSTS], padding_id=padding_id(load_encoder(folder))
    )


def test_fine_logits_hear_the_coarse_ones_through_the_matrix(folder: Path) -> None:
    counts = torch.ones(len(COARSE), len(FINE))
    inputs = batch(folder)
    emissions = {
        beta: network(folder, counts, beta=beta)(inputs).fine_tags for beta in (0.0, 0.1, 1.0)
    }
    assert all(one is not None for one in emissions.values())
    mixed = 0.1 * emissions[1.0] + 0.9 * emissions[0.0]
    assert torch.allclose(mixed, emissions[0.1], atol=1e-5)
    tagger = network(folder, counts, beta=1.0)
    matrix = by_row(counts * tagger._same_place)
    assert torch.equal(tagger.coarse_to_fine, matrix)
    expected = tagger(inputs).tags @ matrix
    assert torch.allclose(expected, emissions[1.0], atol=1e-5)


@pytest.mark.parametrize("crf", [True, False])
def test_the_loss_weighs_both_levels(crf: bool, folder: Path) -> None:
    inputs = batch(folder)
    gold = {TAGS: torch.zeros_like(inputs["places"]), FINE_TAGS: torch.zeros_like(inputs["places"])}
    losses = {
        alpha: float(network(folder, alpha=alpha, crf=crf).loss({**inputs, **gold}).detach())
        for alpha in (0.0, 0.25, 1.0)
    }
    assert losses[0.25] == pytest.approx(0.25 * losses[1.0] + 0.75 * losses[0.0], rel=1e-5)


def test_padding_and_windows_at_once_change_nothing(folder: Path) -> None:
    tagger = network(folder)
    inputs = batch(folder, max_pieces=12)
    with torch.no_grad():
        whole = tagger(inputs).tags
        parts = tagger(inputs, windows_at_once=1).tags
    assert torch.allclose(whole[inputs["words"]], parts[inputs["words"]], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("shapes", [True, False])
@pytest.mark.parametrize("kind", [*KINDS, "deberta-v2"])
def test_a_batch_gives_what_each_text_gives(kind: str, shapes: bool, tmp_path: Path) -> None:
    encoder = save_encoder(tmp_path, kind)
    tagger = network(encoder, shapes=shapes)
    windows = WordPieceWindows(load_fast_tokenizer(encoder), max_pieces=60)
    padding = padding_id(tagger.encoder)
    texts = [windows(text.split()) for text, _, _ in POSTS]
    with torch.no_grad():
        together = tagger(collate(texts, padding_id=padding)).tags
        for number, text in enumerate(texts):
            alone = tagger(collate([text], padding_id=padding)).tags[0]
            assert torch.allclose(together[number, : len(alone)], alone, atol=1e-5)


def test_an_answer_has_a_fine_label_below_its_label(folder: Path) -> None:
    tagger = network(folder)
    with torch.no_grad():
        tagger.head.weight.normal_()
        inputs = batch(folder)
        found = found_entities(tagger, tagger(inputs), inputs["words"], COARSE_OF)
    entities = [one for post in found for one in post]
    assert entities
    assert all(COARSE_OF[str(one.fine_label)] == one.label for one in entities)


def test_the_distribution_is_that_of_averaged_logits() -> None:
    logits = torch.tensor([[0.0, 1.0, 3.0, 0.0, 0.0], [9.0, 1.0, 1.0, 0.0, 2.0]])
    scores = label_distribution(logits, COARSE)
    assert scores["PER"] == pytest.approx(math.exp(3) / (math.exp(3) + math.exp(1)))
    assert sum(scores.values()) == pytest.approx(1)
