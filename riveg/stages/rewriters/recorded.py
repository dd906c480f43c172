"""Referring expressions from the records of another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.protocols import Mention, Rewriter
from riveg.stages.recordings import (
    find_entity,
    not_recorded,
    read_entities,
    recorded_digest,
    recorded_file,
)
from riveg.types import Entity, Expression, Issue


class RecordedRewriterConfig(BackendConfig[Rewriter]):
    """``file``: a run's ``records.jsonl``, or the run folder."""

    stage: ClassVar[str] = "rewrite"
    name: ClassVar[str] = "recorded"
    summary: ClassVar[str] = "expressions from the records of another run"

    file: Path

    def build(self, context: BuildContext) -> RecordedRewriter:
        """Reads the file.

        Raises:
            UserError: If it is missing or holds no records.
        """
        return RecordedRewriter(read_entities(recorded_file(self.file, context.base)))

    def contents(self, base: Path) -> Mapping[str, str]:
        return recorded_digest(self.file, base)


class RecordedRewriter:
    """Looks expressions up by sample and entity id; ``source`` stays the first writer's."""

    def __init__(self, recorded: Mapping[str, Mapping[str, Entity]]) -> None:
        self._recorded = recorded

    def rewrite(self, mentions: Sequence[Mention]) -> Sequence[Expression | Issue]:
        """The recorded expressions."""
        return [self._rewrite(mention) for mention in mentions]

    def _rewrite(self, mention: Mention) -> Expression | Issue:
        found = find_entity(self._recorded, mention, "rewrite")
        if isinstance(found, Issue):
            return found
        if found.expression is None:
            return not_recorded("rewrite", found.id, "the recorded entity has no expression")
        return Expression(found.expression, found.description, found.expression_source)
