"""Regions from a file: records of another run, or the boxes of RiVEG's OFA model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import ImageFault, UserError
from riveg.formats.riveg_rows import RowBox
from riveg.geometry.ofa_bins import box_of_bins
from riveg.protocols import AnswerOrIssue, Grounder, ImageSource, Mention
from riveg.stages.recordings import EntityRecordings, not_recorded, read_entities
from riveg.stages.row_recordings import (
    OFA,
    RowRecordings,
    is_records,
    placed_rows,
    recorded_contents,
)
from riveg.types import Box, Issue, Region


class RecordedGrounderConfig(BackendConfig[Grounder]):
    """``file``: a run's ``records.jsonl``, or the run folder; or RiVEG's boxes.

    These are the OFA program's ``.json`` of ``uniq_id`` and ``box`` (pixels, or four bins), with
    ``rows``: the text with these ids and the entailment's ``###0`` or ``###2``.
    """

    stage: ClassVar[str] = "ground"
    name: ClassVar[str] = "recorded"
    summary: ClassVar[str] = "regions of another run's records, or boxes of RiVEG's OFA"

    file: Path
    rows: Path | None = None

    def build(self, context: BuildContext) -> Grounder:
        """Reads the file.

        Raises:
            UserError: If it is missing, holds neither records nor boxes, or rows and boxes are not
                of each other.
        """
        base = context.base
        if not is_records(self.file, base):
            rows = placed_rows(self.file, self.rows, base)
            return OfaBoxes(RowRecordings.of(self.stage, rows), context.images)
        if self.rows is not None:
            raise UserError("ground.rows: records name their entities; rows go with a JSON list")
        entities = read_entities(self.file, base)
        return RecordedGrounder(
            EntityRecordings(self.stage, "regions", lambda entity: entity.regions, entities)
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        return recorded_contents(base, self.file, self.rows)


class RecordedGrounder:
    """Looks regions up by sample and entity id, masks included; ``()`` is an answer too."""

    def __init__(self, recordings: EntityRecordings[tuple[Region, ...]]) -> None:
        self._recordings = recordings

    def ground(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[tuple[Region, ...]]]:
        """The recorded regions."""
        return self._recordings.find(mentions)


class OfaBoxes:
    """Looks boxes up by image and mention: one region each, without a score.

    Args:
        recordings: Boxes; ``None`` for a row that the entailment model called not shown.
        images: For the sizes that boxes told in bins need.
    """

    def __init__(self, recordings: RowRecordings[RowBox | None], images: ImageSource) -> None:
        self._recordings = recordings
        self._images = images

    def ground(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[tuple[Region, ...]]]:
        """The recorded box of each mention."""
        found = self._recordings.find(mentions)
        return [self._regions(*pair) for pair in zip(mentions, found, strict=True)]

    def _regions(
        self, mention: Mention, found: AnswerOrIssue[RowBox | None]
    ) -> AnswerOrIssue[tuple[Region, ...]]:
        if isinstance(found, Issue):
            return found
        if not isinstance(found, RowBox):
            message = f"{mention.entity.text}: not asked about, its row says that it is not shown"
            return not_recorded("ground", mention.entity.id, message)
        try:
            box = self._box(mention, found)
        except ImageFault as fault:
            return Issue("ground", mention.entity.id, fault.kind, str(fault))
        if box is None:
            message = f"{mention.entity.text}: its box is null or encloses nothing"
            return not_recorded("ground", mention.entity.id, message)
        return (Region(box, source=OFA),)

    def _box(self, mention: Mention, found: RowBox) -> Box | None:
        image = mention.sample.image
        if found.bins is None or image is None:
            return found.box
        size = image.size or self._images.probe(image).size
        return None if size is None else box_of_bins(found.bins, size)
