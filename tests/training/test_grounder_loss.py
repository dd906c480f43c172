"""The loss of a grounder: by hand, and against the library's where that is right."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.tiny_grounding_dino import save_grounding_dino

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("scipy")

from torch import Tensor  # noqa: E402

from riveg.training.grounder.loss import (  # noqa: E402
    BOX_COUNT,
    BOXES,
    MASK,
    PHRASE,
    TOKENS,
    grounding_loss,
    pixels_key,
)

KINDS = {
    "grounding-dino": "GroundingDinoForObjectDetection",
    "mm-grounding-dino": "MMGroundingDinoForObjectDetection",
}
TEXTS = [[201], [202, 203], [204, 205, 206], [207]]
"""Tokens of phrases."""


def batch(rows: list[int], boxes: list[list[list[float]]], sides: list[int]) -> dict[str, Tensor]:
    """Rows with these texts, boxes and sides of pictures, which follow each other by size."""
    longest = max(len(TEXTS[row]) for row in rows) + 3
    tokens = torch.zeros(len(rows), longest, dtype=torch.long)
    for number, row in enumerate(rows):
        text = [101, *TEXTS[row], 1012, 102]
        tokens[number, : len(text)] = torch.tensor(text)
    held = torch.zeros(len(rows), max(1, *map(len, boxes)), 4)
    for number, own in enumerate(boxes):
        held[number, : len(own)] = torch.tensor(own).reshape(-1, 4)
    generator = torch.Generator().manual_seed(3)
    pictures = {side: torch.randn(4, 3, 64, side, generator=generator) for side in (64, 80)}
    return {
        TOKENS: tokens,
        MASK: (tokens > 0).long(),
        PHRASE: torch.tensor([[1, 1 + len(TEXTS[row])] for row in rows]),
        BOXES: held,
        BOX_COUNT: torch.tensor([len(own) for own in boxes]),
        **{
            pixels_key(number): torch.stack(
                [pictures[side][row] for row, own in zip(rows, sides, strict=True) if own == side]
            )
            for number, side in enumerate(sorted(set(sides)))
        },
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@cache
def saved(folder: Path, kind: str, **fields: Any) -> Path:
    name = "-".join([kind, *(f"{key}{value}" for key, value in fields.items())])
    # With 32, the library's group norms refuse maps of a single place.
    return save_grounding_dino(folder / name, kind, d_model=64, **fields)


def network_of(folder: Path, kind: str, **fields: Any) -> Any:
    whole = saved(folder, kind, **fields)
    return getattr(transformers, KINDS[kind]).from_pretrained(whole).eval()


FOUND = [0.5, 0.5, 0.2, 0.2]


class Undecided:
    """Gives every token a half, and finds the very box: what is left is the loss of the tokens."""

    config = SimpleNamespace(
        **{"class_cost": 1.0, "bbox_cost": 5.0, "giou_cost": 2.0, "focal_alpha": 0.25},
        **{"bbox_loss_coefficient": 5.0, "giou_loss_coefficient": 2.0, "two_stage": False},
    )

    def __call__(self, input_ids: Tensor, attention_mask: Tensor, **_: Tensor) -> Any:
        logits = torch.full((len(input_ids), 2, 8), -math.inf)
        logits[:, :, : input_ids.shape[1]] = torch.where(
            attention_mask[:, None].bool(), 0.0, -math.inf
        )
        boxes = torch.tensor([FOUND, [0.1, 0.1, 0.1, 0.1]]).expand(len(input_ids), 2, 4)
        return SimpleNamespace(logits=logits, pred_boxes=boxes)


def test_each_text_has_its_own_tokens_by_hand() -> None:
    """Phrases of 1, 2 and 3 tokens with [CLS], full stop and [SEP]; two queries, of which one is
    matched. Focal loss at a half: 0.25 (wanted) or 0.75 (not) x 0.5 ** 2 x ln 2."""
    given = batch([0, 1, 2], [[FOUND]] * 3, [64] * 3)
    wanted = 1 + 2 + 3
    others = 2 * (4 + 5 + 6) - wanted
    by_hand = 2.0 * (0.25 * wanted + 0.75 * others) * 0.25 * math.log(2) / 3
    assert grounding_loss(Undecided(), given, every_layer=False).item() == pytest.approx(by_hand)


def test_the_tokens_of_a_phrase_are_those_that_the_library_means() -> None:
    from transformers.models.grounding_dino.modeling_grounding_dino import build_label_maps

    given = batch([2, 0], [[], []], [64, 64])
    maps = build_label_maps(torch.zeros(2, 1, 8), given[TOKENS])
    for (start, end), own in zip(given[PHRASE].tolist(), maps, strict=True):
        assert own.tolist() == [[int(start <= place < end) for place in range(8)]]


ONE = [[[0.4, 0.5, 0.3, 0.2], [0.7, 0.3, 0.2, 0.4]]]


@pytest.mark.parametrize("kind", KINDS)
def test_of_one_text_it_is_the_loss_of_the_library(kind: str, folder: Path) -> None:
    """But for the first stage, which the library does not compare with what it has proposed."""
    network = network_of(folder, kind, auxiliary_loss=True)
    given = batch([1], ONE, [64])
    labels = [{"class_labels": torch.tensor([0, 0]), "boxes": given[BOXES][0]}]
    with torch.inference_mode():
        answer = network(
            pixel_values=given[pixels_key(0)],
            input_ids=given[TOKENS],
            attention_mask=given[MASK],
            labels=labels,
        )
        last = grounding_loss(network, given, every_layer=False)
        every = grounding_loss(network, given, every_layer=True)
    parts = answer.loss_dict
    torch.testing.assert_close(last, _summed(parts, ""))
    decoder = last + _summed(parts, "_0")
    torch.testing.assert_close(every, decoder + _first_stage(network, answer, given, labels))


def _summed(parts: dict[str, Tensor], which: str) -> Tensor:
    weights = {"loss_ce": 2.0, "loss_bbox": 5.0, "loss_giou": 2.0}
    weighted = [one * parts[f"{name}{which}"] for name, one in weights.items()]
    total: Tensor = torch.stack(weighted).sum(dim=0)
    return total


def _first_stage(network: Any, answer: Any, given: dict[str, Tensor], labels: Any) -> Tensor:
    """The library's loss of the proposals that the decoder begins with."""
    from transformers.loss.loss_grounding_dino import GroundingDinoForObjectDetectionLoss
    from transformers.models.grounding_dino.modeling_grounding_dino import (
        build_label_maps,
        build_text_mask,
    )

    order = answer.enc_outputs_class[0].amax(-1).argsort(descending=True, stable=True)
    best = order[: network.config.num_queries]
    logits = answer.enc_outputs_class[:, best]
    boxes = answer.enc_outputs_coord_logits[:, best].sigmoid()
    torch.testing.assert_close(boxes, answer.init_reference_points)
    config = SimpleNamespace(**{**Undecided.config.__dict__, "auxiliary_loss": False})
    loss: Tensor = GroundingDinoForObjectDetectionLoss(
        *(logits, labels, logits.device, boxes, config),
        *(build_label_maps(logits, given[TOKENS]), build_text_mask(logits, given[MASK])),
    )[0]
    return loss


def test_a_batch_is_the_mean_of_its_rows_over_boxes(folder: Path) -> None:
    """Of texts of several lengths and pictures of several sizes: each as it is alone."""
    network = network_of(folder, "mm-grounding-dino")
    boxes = [*ONE, [[0.5, 0.5, 0.4, 0.4]], [[0.3, 0.6, 0.2, 0.3]]]
    rows, sides = [2, 0, 1], [64, 80, 80]
    with torch.inference_mode():
        together = grounding_loss(network, batch(rows, boxes, sides), every_layer=True)
        alone = [
            len(own) * grounding_loss(network, batch([row], [own], [side]), every_layer=True)
            for row, own, side in zip(rows, boxes, sides, strict=True)
        ]
    torch.testing.assert_close(together, sum(alone) / 4, rtol=1e-4, atol=1e-4)


def test_a_batch_without_a_box_teaches_that_nothing_is_there(folder: Path) -> None:
    network = network_of(folder, "mm-grounding-dino")
    loss = grounding_loss(network, batch([0, 1], [[], []], [64, 64]), every_layer=True)
    loss.backward()
    assert 0 < loss.item() < math.inf
    learnt = network.model.encoder_output_class_embed.bias.grad
    assert learnt.item() > 0  # a step against it makes every score smaller


@pytest.mark.parametrize("kind", KINDS)
def test_all_parts_learn_the_first_stage_too(kind: str, folder: Path) -> None:
    network = network_of(folder, kind)
    grounding_loss(network, batch([0, 2], [*ONE, []], [64, 80]), every_layer=True).backward()
    still = {
        name.partition("swin.")[2] or name
        for name, one in network.named_parameters()
        if one.grad is None or not one.grad.abs().sum()
    }
    # A norm behind the stages of the backbone, whose result nobody takes.
    unused = {"layernorm.weight", "layernorm.bias"}
    assert not {name for name in still - unused if "encoder_output" in name or "bbox" in name}
    assert not {name for name in still - unused if "backbone" in name and "bias" not in name}
