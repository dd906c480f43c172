"""The oracle entailer: whether the annotation has boxes for the entity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.protocols import Entailer, Mention
from riveg.stages.oracle import SOURCE, gold_boxes
from riveg.types import Entailment, Gold, Issue


class GoldEntailerConfig(BackendConfig[Entailer]):
    """No settings."""

    stage: ClassVar[str] = "entail"
    name: ClassVar[str] = "gold"
    summary: ClassVar[str] = "oracle: groundable where the annotation has boxes"
    oracle: ClassVar[bool] = True

    def build(self, context: BuildContext) -> GoldEntailer:
        return GoldEntailer(context.gold)


class GoldEntailer:
    """Joins gold by span; a span that gold does not have is not groundable."""

    def __init__(self, gold: Mapping[str, Gold]) -> None:
        self._gold = gold

    def entail(self, mentions: Sequence[Mention]) -> Sequence[Entailment | Issue]:
        """The annotated answer about each mention, without a probability."""
        return [self._entail(mention) for mention in mentions]

    def _entail(self, mention: Mention) -> Entailment | Issue:
        boxes = gold_boxes(self._gold, mention, "entail")
        return boxes if isinstance(boxes, Issue) else Entailment(None, bool(boxes), SOURCE)
