from __future__ import annotations

from contracts import check_backend
from factories import make_context, make_sample, mentions_of

from riveg.registry import backend_config
from riveg.stages.grounders.gold import GoldGrounderConfig
from riveg.types import Box, Gold, GoldEntity, Issue, Region, Span

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


def test_contract_and_join_by_span() -> None:
    tagged = [(2, 4, "LOC"), (0, 1, "ORG"), (3, 4, "PER")]
    mentions = mentions_of(
        make_sample(TEXT, tagged, id="1"),
        make_sample(TEXT, tagged[:1], id="2"),
        make_sample(TEXT, tagged[:1], id="3"),
    )
    backend = GoldGrounderConfig().build(make_context(gold=GOLD))
    shown, hidden, other_span, no_boxes, no_gold = check_backend("ground", backend, mentions)
    assert shown == tuple(Region(box, source="gold") for box in BOXES), (
        "the label may be wrong: gold is joined by span"
    )
    assert hidden == ()
    assert other_span == (), "the same name on other tokens is another span"
    assert isinstance(no_boxes, Issue)
    assert "says nothing of boxes" in no_boxes.message
    assert isinstance(no_gold, Issue)
    assert no_gold.kind == no_boxes.kind == "no-gold"


def test_is_marked_as_an_oracle() -> None:
    assert backend_config("ground", "gold") is GoldGrounderConfig
    assert GoldGrounderConfig.oracle
