"""A run's records beside the gold, as calibrations read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from riveg.errors import UserError
from riveg.evaluation.cases import Case
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.joining import JoinCounts
from riveg.evaluation.notes import join_notes, lacking_note
from riveg.evaluation.predictions import prediction_of
from riveg.formats.run_records import finished_manifest
from riveg.runs.reading import read_records
from riveg.types import Sample


@dataclass(frozen=True, slots=True)
class AnnotatedRun:
    """The samples of a run that are annotated.

    Args:
        folder: The run.
        gold: The annotation.
        joined: What :meth:`cases` has counted so far.
    """

    folder: Path
    gold: GoldSet
    joined: JoinCounts = field(default_factory=JoinCounts)

    def cases(self) -> Iterator[tuple[Sample, Case]]:
        """Each of them as the run has answered it, and beside its gold; to be read once.

        Raises:
            UserError: If there is none, or the folder holds no finished run.
        """
        for sample in read_records(self.folder):
            case = self.gold.case_of(sample)
            if case is None:
                self.joined.without_gold += 1
            else:
                gold = self.gold.samples[sample.id]
                self.joined.add(sample.id, prediction_of(sample), gold)
                yield sample, case
        if not self.joined.samples:
            raise UserError(f"{self.folder}: none of its samples is annotated in {self.gold.name}")

    def notes(self) -> tuple[str, ...]:
        """What looks wrong with the gold, or between it and the run, once all has been read."""
        is_partial = finished_manifest(self.folder).get("limit")
        lacking = 0 if is_partial else len(self.gold.samples) - self.joined.samples
        return (*self.gold.notes, *join_notes(self.joined), *lacking_note(lacking))
