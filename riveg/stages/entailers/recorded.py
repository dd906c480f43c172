"""Entailment answers from a file: records of another run, or what RiVEG's OFA model answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import UserError
from riveg.protocols import AnswerOrIssue, Entailer, Mention
from riveg.stages.recordings import EntityRecordings, read_entities
from riveg.stages.row_recordings import (
    OFA,
    RowRecordings,
    is_records,
    recorded_contents,
    shown_rows,
)
from riveg.types import Entailment


class RecordedEntailerConfig(BackendConfig[Entailer]):
    """``file``: a run's ``records.jsonl``, or the run folder; or RiVEG's answers.

    These are its text with ``###0`` or ``###2`` at the end of each row, or the OFA program's
    ``.json`` of ``uniq_id`` and ``answer``, with ``rows``: the text or table with these ids.
    """

    stage: ClassVar[str] = "entail"
    name: ClassVar[str] = "recorded"
    summary: ClassVar[str] = "entailment answers of another run's records, or of RiVEG's OFA"

    file: Path
    rows: Path | None = None

    def build(self, context: BuildContext) -> RecordedEntailer:
        """Reads the file.

        Raises:
            UserError: If it is missing, holds neither records nor answers, or rows and answers are
                not of each other.
        """
        base = context.base
        if not is_records(self.file, base):
            rows = shown_rows(self.file, self.rows, base)
            answers = ((row, Entailment(None, shown, OFA)) for row, shown in rows)
            return RecordedEntailer(RowRecordings.of(self.stage, answers))
        if self.rows is not None:
            raise UserError("entail.rows: records name their entities; rows go with a JSON list")
        entities = read_entities(self.file, base)
        return RecordedEntailer(
            EntityRecordings(self.stage, "entailment", lambda entity: entity.entailment, entities)
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        return recorded_contents(base, self.file, self.rows)


class RecordedEntailer:
    """Looks answers up by sample and entity id, or by image and mention; each keeps its source."""

    def __init__(
        self, recordings: EntityRecordings[Entailment] | RowRecordings[Entailment]
    ) -> None:
        self._recordings = recordings

    def entail(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[Entailment]]:
        """The recorded answers."""
        return self._recordings.find(mentions)
