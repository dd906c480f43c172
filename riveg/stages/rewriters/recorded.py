"""Referring expressions from the records of another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.protocols import AnswerOrIssue, Mention, Rewriter
from riveg.stages.recordings import EntityRecordings, read_entities, recorded_digest
from riveg.types import Entity, Expression


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
        entities = read_entities(self.file, context.base)
        return RecordedRewriter(EntityRecordings(self.stage, "expression", _expression, entities))

    def contents(self, base: Path) -> Mapping[str, str]:
        return recorded_digest(self.file, base)


class RecordedRewriter:
    """Looks expressions up by sample and entity id; each keeps its ``source``."""

    def __init__(self, recordings: EntityRecordings[Expression]) -> None:
        self._recordings = recordings

    def rewrite(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[Expression]]:
        """The recorded expressions."""
        return self._recordings.find(mentions)


def _expression(entity: Entity) -> Expression | None:
    if entity.expression is None:
        return None
    return Expression(entity.expression, entity.description, entity.expression_source)
