"""The oracle grounder: the annotated boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.protocols import Grounder, Mention
from riveg.stages.oracle import SOURCE, gold_boxes
from riveg.types import Gold, Issue, Region


class GoldGrounderConfig(BackendConfig[Grounder]):
    """No settings."""

    stage: ClassVar[str] = "ground"
    name: ClassVar[str] = "gold"
    summary: ClassVar[str] = "oracle: the annotated boxes"
    oracle: ClassVar[bool] = True

    def build(self, context: BuildContext) -> GoldGrounder:
        return GoldGrounder(context.gold)


class GoldGrounder:
    """Joins gold by span; a span that gold does not have has no region."""

    def __init__(self, gold: Mapping[str, Gold]) -> None:
        self._gold = gold

    def ground(self, mentions: Sequence[Mention]) -> Sequence[tuple[Region, ...] | Issue]:
        """The annotated boxes of each mention, in the annotation's order, without scores."""
        return [self._ground(mention) for mention in mentions]

    def _ground(self, mention: Mention) -> tuple[Region, ...] | Issue:
        boxes = gold_boxes(self._gold, mention, "ground")
        if isinstance(boxes, Issue):
            return boxes
        return tuple(Region(box, source=SOURCE) for box in boxes)
