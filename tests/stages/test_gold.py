"""Oracles of entity-wise stages: gold joined by sample and span, whatever the label."""

from __future__ import annotations

import pytest
from helpers.contracts import check_backend
from helpers.factories import make_context, make_sample, mentions_of

from riveg.pipeline import AnyStage
from riveg.registry import backend_config
from riveg.stages.table import ENTAIL, GROUND
from riveg.stages.taggers.gold import GoldTagger
from riveg.types import Box, Entailment, Entity, Gold, GoldEntity, Issue, Region, Span

BOXES = (Box(1, 2, 3, 4), Box(0, 0, 9, 9))
TEXT = "NASA has Eileen Collins"
GOLD = {
    "1": Gold(
        "1",
        (
            GoldEntity("NASA", "ORG", Span(0, 1), boxes=()),
            GoldEntity("Eileen Collins", "PER", Span(2, 4), boxes=BOXES),
        ),
    ),
    "2": Gold("2", (GoldEntity("NASA", "ORG", Span(0, 1)),)),
}

CASES: list[tuple[AnyStage, object, object]] = [
    (ENTAIL, Entailment(None, True, "gold"), Entailment(None, False, "gold")),
    (GROUND, tuple(Region(box, source="gold") for box in BOXES), ()),
]
"""Stage, its answer for an entity with boxes, its answer for one without."""


@pytest.mark.parametrize(("stage", "with_boxes", "without"), CASES)
def test_contract_and_join_by_span(stage: AnyStage, with_boxes: object, without: object) -> None:
    tagged = [(2, 4, "LOC"), (0, 1, "ORG"), (3, 4, "PER")]
    mentions = mentions_of(
        make_sample(TEXT, tagged, id="1"),
        make_sample(TEXT, tagged[:1], id="2"),
        make_sample(TEXT, tagged[:1], id="3"),
    )
    backend = backend_config(stage.name, "gold")().build(make_context(gold=GOLD))
    shown, hidden, other_span, no_boxes, no_gold = check_backend(stage, backend, mentions)
    assert shown == with_boxes, "the label may be wrong: gold is joined by span"
    assert hidden == without
    assert other_span == without, "the same name on other tokens is another span"
    assert isinstance(no_boxes, Issue)
    assert "says nothing of boxes" in no_boxes.message
    assert isinstance(no_gold, Issue)
    assert no_gold.kind == no_boxes.kind == "no-gold"


def test_both_labels_of_an_annotation_are_handed_on() -> None:
    gold = {"1": Gold("1", (GoldEntity("NASA", "ORG", Span(0, 1), "government_agency"),))}
    tagger = backend_config("tag", "gold")().build(make_context(gold=gold))
    assert isinstance(tagger, GoldTagger)
    (tagged,) = tagger.tag([make_sample(TEXT, [], id="1")])
    assert tagged == (Entity("e0", "NASA", "ORG", Span(0, 1), fine_label="government_agency"),)


@pytest.mark.parametrize("stage", ["tag", "entail", "ground"])
def test_marked_as_an_oracle(stage: str) -> None:
    assert backend_config(stage, "gold").oracle
