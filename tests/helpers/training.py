"""Trains as the command does, without what the user sees."""

from pathlib import Path

from riveg.runs.progress import Silence
from riveg.training.config import TrainingConfig
from riveg.training.training import train_model


class Heard(Silence):
    """Progress whose notes are kept."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str, /) -> None:
        self.notes.append(text)


def trained(config: TrainingConfig, heard: Heard | None = None, *, resume: bool = False) -> Path:
    """The model's folder."""
    command = f"riveg train {config.name}"
    return train_model(config, progress=heard or Heard(), command=command, resume=resume)
