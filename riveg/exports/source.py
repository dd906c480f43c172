"""What an export reads, and its report of what it has written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from riveg.formats.run_records import finished_manifest
from riveg.runs.reading import image_roots_of, read_records
from riveg.types import Sample


@dataclass(frozen=True, slots=True)
class ExportSource:
    """A finished run: its records can be read any number of times, one in memory at a time.

    Args:
        folder: The run folder.
        manifest: The run's ``manifest.json``.
        image_roots: Folders that image paths start from, looked up in order.
        on_record: Called for every record that is read, for a progress bar.
    """

    folder: Path
    manifest: Mapping[str, Any]
    image_roots: tuple[Path, ...]
    on_record: Callable[[], object] | None = None

    @classmethod
    def of_run(cls, folder: Path) -> ExportSource:
        """A run folder as a source; nothing is read but its manifest.

        Raises:
            UserError: If the folder holds no finished run.
        """
        manifest = finished_manifest(folder)
        return cls(folder, manifest, image_roots_of(manifest))

    def records(self) -> Iterator[Sample]:
        """The records in input order.

        Raises:
            UserError: If they are not what the run has written.
        """
        for sample in read_records(self.folder, self.manifest):
            yield sample
            if self.on_record is not None:
                self.on_record()

    @property
    def is_reviewed(self) -> bool:
        """Whether the run has the stage that looks again at what is uncertain."""
        return "review" in self.manifest.get("stages", {})

    def has_fine_labels(self) -> bool:
        """Whether an entity has a fine label; records are read up to the first.

        Raises:
            UserError: If they are not what the run has written.
        """
        samples = read_records(self.folder, self.manifest)
        return any(entity.fine_label for sample in samples for entity in sample.entities or ())


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written.

    Args:
        files: The files a user opens first; a folder for many of a kind.
        counts: Numbers of what was written, for example ``{"images": 12, "masks": 20}``.
        left_out: Reasons why something was not written, with numbers, for example
            ``{"mask with no pixel": 1}``.
    """

    files: tuple[Path, ...]
    counts: Mapping[str, int]
    left_out: Mapping[str, int] = field(default_factory=dict)
