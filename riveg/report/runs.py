"""A run as the report reads it: its manifest, and its records one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riveg.errors import UserError
from riveg.evaluation.reruns import run_settings
from riveg.exports.source import ExportSource
from riveg.files import open_regular
from riveg.formats.records import decode
from riveg.formats.run_records import RECORDS, open_records
from riveg.types import Sample


@dataclass(frozen=True, slots=True)
class ReportedRun:
    """A finished run.

    Args:
        source: Its folder, manifest and image folders.
        gate: From which probability on the entailment stage calls an entity groundable, in [0, 1];
            ``None`` where the configuration has no number.
    """

    source: ExportSource
    gate: float | None

    @classmethod
    def of(cls, folder: Path) -> ReportedRun:
        """Opens a run folder; its records are not read yet.

        Raises:
            UserError: If it holds no finished run.
        """
        return cls(ExportSource.of_run(folder), _gate(folder))

    def summary(self) -> dict[str, Any]:
        """What the page shows of the run."""
        manifest: Mapping[str, Any] = self.source.manifest
        kept = ("system", "data", "split", "samples", "limit", "failed", "python")
        return {
            "name": self.source.folder.absolute().name,
            "version": manifest.get("data_version"),
            "oracle": list(manifest.get("oracle_stages", [])),
            "stages": {
                name: values.get("backend") for name, values in manifest.get("stages", {}).items()
            },
            "packages": dict(manifest.get("packages", {})),
            "seconds": dict(manifest.get("seconds", {})),
            "finished": manifest.get("finished"),
            "gate": self.gate,
            **{name: manifest.get(name) for name in kept},
        }


def _gate(folder: Path) -> float | None:
    try:
        threshold = run_settings(folder).get("entail", {}).get("threshold")
    except UserError:
        return None
    return float(threshold) if isinstance(threshold, int | float) else None


class SampleLookup:
    """Records of a run by sample id; only their positions in the file are kept in memory."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / RECORDS
        self._positions = dict(self._find(folder))
        self._found: set[str] = set()

    def _find(self, folder: Path) -> Iterator[tuple[str, int]]:
        position = 0
        with open_records(folder) as handle:
            for number, line in enumerate(handle, start=1):
                yield decode(Sample, line, where=f"{self._path}:{number}").id, position
                position += len(line)

    def get(self, sample_id: str) -> Sample | None:
        """The record, or ``None`` where the run has none of that id.

        Raises:
            UserError: If the run has been given again since.
        """
        if sample_id not in self._positions:
            return None
        self._found.add(sample_id)
        with open_regular(self._path) as handle:
            handle.seek(self._positions[sample_id])
            sample = decode(Sample, handle.readline(), where=str(self._path))
        if sample.id != sample_id:
            raise UserError(f"{self._path}: has changed while it was read; give the command again")
        return sample

    @property
    def not_read(self) -> int:
        """How many records :meth:`get` has not returned yet."""
        return len(self._positions) - len(self._found)
