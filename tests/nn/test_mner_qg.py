"""MNER-QG with random weights: shapes, batches, the parts of the loss, the folder."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "riveg[models]"')

import torch
from helpers.tiny_mner_qg import QUERIES, SIDE, make_network, save_backbone, save_mner_qg
from helpers.tiny_taggers import POSTS, tiny_tokenizer
from torch import Tensor

from riveg.errors import UserError
from riveg.nn.backbones import empty_backbone, load_backbone, scale_grids
from riveg.nn.mner_qg import ANCHOR, BOX, END, EXISTENCE, GROUNDED, MATCH, START, MnerQg
from riveg.nn.mner_qg_design import read_settings
from riveg.nn.mner_qg_folder import read_network, read_windows
from riveg.nn.mner_qg_inputs import QueriedPost, collate_queries
from riveg.nn.query_windows import QueryWindows

pytestmark = pytest.mark.slow  # torch and transformers, loaded and run

PARTS = {START, END, MATCH, EXISTENCE, ANCHOR, BOX}
KINDS = [("bert", "resnet"), ("roberta", "convnextv2"), ("xlm-roberta", "swin")]


def posts_of(kind: str = "bert") -> list[QueriedPost]:
    """All posts; each third one has no image."""
    windows = QueryWindows(tiny_tokenizer(kind), QUERIES, max_pieces=60)
    torch.manual_seed(5)
    return [
        QueriedPost(windows(text.split()), None if at % 3 == 2 else torch.randn(3, SIDE, SIDE))
        for at, (text, _, _) in enumerate(POSTS)
    ]


def with_gold(batch: dict[str, Tensor], anchors: int) -> dict[str, Tensor]:
    """Made-up gold: a span and a box in every other row."""
    rows, words = batch["words"].shape
    chance = random.Random(0)
    start = torch.zeros(rows, words, dtype=torch.bool)
    match = torch.zeros(rows, words, words, dtype=torch.bool)
    end, anchor = start.clone(), torch.zeros(rows, anchors + 1, dtype=torch.bool)
    for row in range(rows):
        if row % 2:
            start[row, 0] = end[row, 1] = match[row, 0, 1] = True
            anchor[row, chance.randrange(anchors)] = True
        else:
            anchor[row, -1] = True
    gold = {START: start, END: end, MATCH: match, EXISTENCE: start.any(dim=1), ANCHOR: anchor}
    box = torch.rand(rows, anchors, 4)
    return {**batch, **gold, BOX: box, GROUNDED: batch["image_of"] >= 0}


def anchors_of(network: MnerQg) -> int:
    return 3 * sum(grid * grid for grid in network.design.grids)


@pytest.mark.parametrize(("kind", "backbone"), KINDS)
def test_shapes_are_as_said(kind: str, backbone: str, tmp_path: Path) -> None:
    network = make_network(tmp_path, kind, backbone)
    assert network.design.grids == (8, 4, 2)
    batch = collate_queries(posts_of(kind), padding_id=network.encoder.config.pad_token_id)
    rows, words = batch["words"].shape
    assert rows == len(POSTS) * len(QUERIES)
    assert batch["pixels"].shape == (6, 3, SIDE, SIDE), "each image once, whatever the queries"
    said = network(batch)
    anchors = anchors_of(network)
    assert said.start.shape == said.end.shape == (rows, words)
    assert said.match.shape == (rows, words, words)
    assert said.existence.shape == (rows,)
    assert said.anchor.shape == (rows, anchors + 1)
    assert said.box.shape == (rows, anchors, 4)


@pytest.mark.parametrize(("kind", "backbone"), KINDS)
@pytest.mark.parametrize("cross_modality", [True, False])
def test_a_post_is_answered_alone_as_in_a_batch(
    kind: str, backbone: str, cross_modality: bool, tmp_path: Path
) -> None:
    network = make_network(tmp_path, kind, backbone, cross_modality=cross_modality)
    padding = network.encoder.config.pad_token_id
    posts = posts_of(kind)
    with torch.no_grad():
        together = network(collate_queries(posts, padding_id=padding))
        row = 0
        for post in posts:
            batch = collate_queries([post], padding_id=padding)
            alone = network(batch)
            rows, words = batch["words"].shape
            for one, all_of_them in zip(alone, together, strict=True):
                if one is None:
                    assert post.image is None
                    continue
                part = all_of_them[row : row + rows]
                if one is alone.match:
                    part = part[:, :words, :words]
                elif one.shape[1:] == (words,):
                    part = part[:, :words]
                torch.testing.assert_close(one, part, rtol=1e-4, atol=1e-5)
            row += rows


def test_what_the_image_shows_changes_spans_and_regions(tmp_path: Path) -> None:
    network = make_network(tmp_path)
    (post, other, *_) = posts_of()
    swapped = QueriedPost(post.windows, other.image)
    first, second = (network(collate_queries([one], padding_id=0)) for one in (post, swapped))
    assert not torch.allclose(first.start, second.start)
    assert not torch.allclose(first.anchor, second.anchor)


def test_a_word_is_the_mean_of_its_pieces(tmp_path: Path) -> None:
    network = make_network(tmp_path)
    batch = collate_queries(posts_of(), padding_id=0)
    seen: dict[str, Tensor] = {}
    network.dropout.register_forward_hook(lambda _m, _i, out: seen.update(pieces=out))
    network.spans.register_forward_pre_hook(lambda _m, given: seen.update(words=given[0]))
    network(batch)
    several = 0
    for row, word in batch["words"].nonzero().tolist():
        first, behind = (int(batch[name][row, word]) for name in ("places", "ends"))
        several += behind - first > 1
        mean = seen["pieces"][row, first:behind].mean(dim=0)
        torch.testing.assert_close(seen["words"][row, word], mean, rtol=1e-4, atol=1e-5)
    assert several, "some words have more than one piece"


def test_words_stay_apart_however_strong_the_existence_is(tmp_path: Path) -> None:
    network = make_network(tmp_path).eval()
    batch = collate_queries(posts_of(), padding_id=0)
    assert network.existence is not None
    with torch.no_grad():
        before = network(batch)
        network.existence.back.weight *= 100
        after = network(batch)
    words = batch["words"]
    for one, other in ((before.start, after.start), (before.end, after.end)):
        assert not torch.allclose(one[words], other[words])
        apart, still = ((logits - logits[:, :1])[words] for logits in (one, other))
        torch.testing.assert_close(apart, still, rtol=1e-3, atol=1e-3)


def test_a_region_begins_about_as_likely_as_none(tmp_path: Path) -> None:
    said = make_network(tmp_path)(collate_queries(posts_of(), padding_id=0))
    nothing = said.anchor.detach().softmax(dim=-1)[:, -1]
    assert 0.2 < float(nothing.mean()) < 0.8


SWITCHES: list[tuple[dict[str, Any], set[str]]] = [
    ({}, PARTS),
    ({"existence": False}, PARTS - {EXISTENCE}),
    ({"anchors": ()}, PARTS - {ANCHOR, BOX}),
    ({"cross_modality": False}, PARTS),
]


@pytest.mark.parametrize(("more", "parts"), SWITCHES, ids=[str(more) for more, _ in SWITCHES])
def test_each_switch_removes_its_part_and_the_rest_learns(
    more: dict[str, Any], parts: set[str], tmp_path: Path
) -> None:
    network = make_network(tmp_path, **more).train()
    batch = with_gold(collate_queries(posts_of(), padding_id=0), anchors_of(network))
    losses = network.losses(batch)
    assert set(losses) == parts
    assert all(loss.ndim == 0 and torch.isfinite(loss) for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    learning = {name for name, one in network.named_parameters() if one.grad is not None}
    assert any(name.startswith("encoder.") for name in learning)
    heads = ("spans.", "existence.", "grounding.", "interactions.")
    silent = {"cross_modality": "interactions.", "existence": "existence.", "anchors": "grounding."}
    for head in heads:
        is_off = any(silent[switch] == head for switch in more)
        assert any(name.startswith(head) for name in learning) is not is_off, head


def test_rows_without_a_known_region_teach_no_anchor(tmp_path: Path) -> None:
    network = make_network(tmp_path)
    batch = with_gold(collate_queries(posts_of(), padding_id=0), anchors_of(network))
    known = network.losses(batch)[ANCHOR]
    worse = {**batch, ANCHOR: batch[ANCHOR].clone()}
    worse[ANCHOR][~batch[GROUNDED]] = False  # would be infinite if it were looked at
    assert network.losses(worse)[ANCHOR] == known
    batch[GROUNDED] = torch.zeros_like(batch[GROUNDED])
    losses = network.losses(batch)
    assert losses[ANCHOR] == losses[BOX] == 0
    assert losses[START] > 0


def test_any_of_several_right_boxes_will_do(tmp_path: Path) -> None:
    network = make_network(tmp_path)
    batch = with_gold(collate_queries(posts_of()[:1], padding_id=0), anchors_of(network))
    one = network.losses(batch)[ANCHOR]
    batch[ANCHOR][:, :20] = True
    assert network.losses(batch)[ANCHOR] < one


def test_frozen_norms_keep_their_statistics(tmp_path: Path) -> None:
    batch = collate_queries(posts_of(), padding_id=0)
    for frozen in (True, False):
        network = make_network(tmp_path, frozen_norms=frozen).train()
        before = {name: one.clone() for name, one in network.named_buffers()}
        network(batch)
        same = all(torch.equal(one, before[name]) for name, one in network.named_buffers())
        assert same is frozen


def test_the_folder_answers_as_what_was_written(tmp_path: Path) -> None:
    folder = save_mner_qg(tmp_path / "model")
    settings = read_settings(folder)
    network = read_network(folder, settings)
    windows = read_windows(folder, settings, network)
    post = QueriedPost(windows(["Ann", "met", "Bob"]), torch.ones(3, SIDE, SIDE))
    batch = collate_queries([post], padding_id=0)
    again = read_network(folder, settings)
    with torch.no_grad():
        assert torch.equal(network(batch).match, again(batch).match)


def test_a_backbone_without_three_scales_is_refused_in_one_line(tmp_path: Path) -> None:
    flat = load_backbone(save_backbone(tmp_path / "flat", "dinov2"))
    with pytest.raises(UserError, match=r"feature maps are 4 x 4, 4 x 4, 4 x 4 for 64 pixels a s"):
        scale_grids(flat, SIDE, tmp_path)
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(UserError, match="is none that can be loaded, as ResNet, Swin or ConvNeXt"):
        load_backbone(tmp_path / "none")
    (tmp_path / "none" / "config.json").write_text("{}")
    with pytest.raises(UserError) as raised:
        empty_backbone(tmp_path / "none")
    assert str(raised.value).count("backbone: ") == 1


def test_weights_of_another_network_are_refused_in_one_line(tmp_path: Path) -> None:
    folder = save_mner_qg(tmp_path / "model")
    settings = read_settings(folder)
    other = settings.model_copy(update={"design": settings.design.model_copy(update={"width": 32})})
    with pytest.raises(UserError, match=r"holds not the weights that mner-qg\.json and both"):
        read_network(folder, other)
    grids = settings.design.model_copy(update={"grids": (9, 4, 2)})
    with pytest.raises(UserError, match="its grids are not those of the backbone"):
        read_network(folder, settings.model_copy(update={"design": grids}))
