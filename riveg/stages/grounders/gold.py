"""The oracle grounder: the annotated boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.protocols import AnswerOrIssue, Grounder, Mention
from riveg.stages.oracle import SOURCE, answer_by_boxes
from riveg.types import Box, Gold, Region


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

    def ground(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[tuple[Region, ...]]]:
        """The annotated boxes of each mention, in the annotation's order, without scores."""
        return answer_by_boxes(self._gold, mentions, "ground", _regions)


def _regions(boxes: Sequence[Box]) -> tuple[Region, ...]:
    return tuple(Region(box, source=SOURCE) for box in boxes)
