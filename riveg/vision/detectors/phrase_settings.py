"""How a detector of phrases was trained to be asked: ``grounder.json`` beside its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from riveg.errors import UserError, reason
from riveg.files import write_atomically
from riveg.formats.json_files import checked, read_json
from riveg.vision.queries import QueryTemplate

FILE = "grounder.json"


class PhraseSettings(BaseModel):
    """The template of the phrase, and the sides that pictures are resized to, in pixels.

    The defaults are for published models, which nobody has trained on one template.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    query: QueryTemplate = "{expression}"
    shortest_edge: int = Field(default=800, ge=32)
    longest_edge: int = Field(default=1333, ge=32)

    @model_validator(mode="after")
    def _edges_in_order(self) -> Self:
        if self.shortest_edge > self.longest_edge:
            raise ValueError("shortest_edge must not be above longest_edge")
        return self


def read_phrase_settings(folder: Path) -> PhraseSettings | None:
    """The settings of a model's folder; ``None`` where riveg has not trained it.

    Raises:
        UserError: If the file cannot be used.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({reason(error)})") from error
    return checked(PhraseSettings, values, f"{path}: does not say how the model is asked")


def write_phrase_settings(folder: Path, settings: PhraseSettings) -> None:
    """Writes the file.

    Raises:
        UserError: If it cannot be written.
    """
    text = settings.model_dump_json(indent=2) + "\n"
    write_atomically(folder / FILE, [text.encode()])
