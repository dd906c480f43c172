from __future__ import annotations

from helpers.contracts import check_backend
from helpers.factories import make_context, make_sample

from riveg.registry import backend_config
from riveg.stages.table import TAG
from riveg.stages.taggers.gold import GoldTaggerConfig
from riveg.types import Box, Entity, Gold, GoldEntity, Issue, Span

GOLD = {
    "1": Gold(
        "1",
        (
            GoldEntity("NASA", "ORG", Span(0, 1), boxes=(Box(0, 0, 1, 1),)),
            GoldEntity("Eileen Collins", "PER", Span(2, 4), "politician", boxes=()),
        ),
    ),
    "2": Gold("2", ()),
}


def test_contract() -> None:
    backend = GoldTaggerConfig().build(make_context(gold=GOLD))
    samples = [make_sample("NASA has Eileen Collins", id=name) for name in ("1", "2", "3")]
    found, nothing, absent = check_backend(TAG, backend, samples)
    assert found == (
        Entity("e0", "NASA", "ORG", Span(0, 1)),
        Entity("e1", "Eileen Collins", "PER", Span(2, 4), fine_label="politician"),
    )
    assert nothing == ()
    assert isinstance(absent, Issue)
    assert absent.kind == "no-gold"


def test_is_marked_as_an_oracle() -> None:
    assert backend_config("tag", "gold") is GoldTaggerConfig
    assert GoldTaggerConfig.oracle
