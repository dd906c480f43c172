"""What ``riveg train entailer-itm`` keeps beside a network: how it wants to be asked."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from riveg.errors import UserError, reason
from riveg.files import write_atomically
from riveg.formats.json_files import checked, read_json
from riveg.nn.calibration import at_temperature
from riveg.vision.matchers.matcher import four_digits
from riveg.vision.queries import QueryTemplate

SETTINGS = "entailment.json"


class MatcherSettings(BaseModel):
    """How a network is asked, and what its answers mean.

    Args:
        query: The template of the text.
        threshold: Groundable from this probability on, in [0, 1].
        temperature: By which log-odds of probabilities are divided, so that they are calibrated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    query: QueryTemplate
    threshold: float = Field(ge=0, le=1)
    temperature: float = Field(default=1.0, gt=0)


def read_settings(folder: Path) -> MatcherSettings | None:
    """What ``entailment.json`` says; ``None`` for a model that riveg has not trained.

    Raises:
        UserError: If the file is not of such a training.
    """
    path = folder / SETTINGS
    if not path.exists():
        return None
    where = f"{path}: is not of riveg train entailer-itm"
    try:
        return checked(MatcherSettings, read_json(path), where)
    except (OSError, ValueError) as error:
        raise UserError(f"{where} ({reason(error)})") from error


def write_settings(folder: Path, settings: MatcherSettings) -> None:
    """Writes ``entailment.json``.

    Raises:
        UserError: If the file cannot be written.
    """
    write_atomically(folder / SETTINGS, [f"{settings.model_dump_json(indent=2)}\n".encode()])


def calibrated(probability: float, temperature: float) -> float:
    """A network's probability at a temperature, with four significant digits.

    At 1 it stays as it is, however small: SigLIP's may be.

    >>> calibrated(0.9, 2.0), calibrated(1.23456e-12, 1.0)
    (0.75, 1.235e-12)
    """
    if temperature == 1.0:
        return four_digits(probability)
    return four_digits(at_temperature(probability, temperature))
