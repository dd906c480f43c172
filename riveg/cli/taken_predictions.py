"""``riveg run SYSTEM --from PREDICTIONS``: a system that goes on from predictions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from riveg.errors import UserError

if TYPE_CHECKING:
    from riveg.config.system import SystemConfig
    from riveg.datasets.dataset import Dataset
    from riveg.runs.portion import Shard


@dataclass(frozen=True, slots=True)
class TakenPredictions:
    """What the command line says of predictions; as the options of ``riveg eval``."""

    file: Path
    format: str
    boxes: Path | None
    proposals: Path | None

    @classmethod
    def of(
        cls, file: Path | None, format: str | None, boxes: Path | None, proposals: Path | None
    ) -> TakenPredictions | None:
        """The options together; ``None`` where no predictions are named.

        Raises:
            UserError: If an option about predictions is given without them.
        """
        if file is not None:
            return cls(file, format or "auto", boxes, proposals)
        given = {"--format": format, "--boxes": boxes, "--proposals": proposals}
        for name, value in given.items():
            if value is not None:
                raise UserError(f"{name}: says how predictions are read; name these with --from")
        return None

    @property
    def name(self) -> str:
        """Of the file without its suffix, or of the folder."""
        path = self.file.absolute()
        return path.name if path.is_dir() else path.stem

    def write(
        self, config: SystemConfig, data: Dataset, folder: Path, shard: Shard | None
    ) -> tuple[str, tuple[str, ...]]:
        """Writes the predictions as records into the run folder.

        Returns:
            The ``--set`` item by which the system takes them, and what a user should know of them.

        Raises:
            UserError: If the system takes none, the folder is of another run, or they cannot be
                read or joined.
        """
        from riveg.evaluation.reading import open_predictions
        from riveg.evaluation.recording import record_predictions
        from riveg.runs.checks import origin_of, require_same_origin
        from riveg.runs.folder import PREDICTIONS, RunFolder

        steps = {step.stage.name: step.config.name for step in config.steps}
        if steps.get("extract") != "recorded":
            raise UserError(
                f"--from: {config.name} takes no predictions; use the system masks, or one with "
                "extract: {backend: recorded}"
            )
        predictions = open_predictions(self.file, format=self.format, boxes=self.boxes)
        run = RunFolder(folder)
        written = (folder / PREDICTIONS).absolute()
        with run.lock():
            require_same_origin(run, origin_of(config, data, shard))
            notes = record_predictions(predictions, data, written, proposals=self.proposals)
        return f"extract.file={json.dumps(str(written))}", notes
