"""The oracle entailer: whether the annotation has boxes for the entity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.protocols import AnswerOrIssue, Entailer, Mention
from riveg.stages.oracle import SOURCE, answer_by_boxes
from riveg.types import Entailment, Gold


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

    def entail(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[Entailment]]:
        """The annotated answer about each mention, without a probability."""
        return answer_by_boxes(
            self._gold, mentions, "entail", lambda boxes: Entailment(None, bool(boxes), SOURCE)
        )
