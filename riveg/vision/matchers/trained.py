"""What ``riveg train entailer-itm`` keeps beside a network: how it wants to be asked."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from riveg.nn.calibration import at_temperature
from riveg.vision.matchers.matcher import four_digits
from riveg.vision.queries import QueryTemplate
from riveg.vision.trained import TrainedSettings


class MatcherSettings(TrainedSettings):
    """How a network is asked, and what its answers mean.

    Args:
        query: The template of the text.
        threshold: Groundable from this probability on, in [0, 1].
        temperature: By which log-odds of probabilities are divided, so that they are calibrated.
    """

    file: ClassVar[str] = "entailment.json"
    trainee: ClassVar[str] = "entailer-itm"

    query: QueryTemplate
    threshold: float = Field(ge=0, le=1)
    temperature: float = Field(default=1.0, gt=0)


def calibrated(probability: float, temperature: float) -> float:
    """A network's probability at a temperature, with four significant digits.

    At 1 it stays as it is, however small: SigLIP's may be.

    >>> calibrated(0.9, 2.0), calibrated(1.23456e-12, 1.0)
    (0.75, 1.235e-12)
    """
    if temperature == 1.0:
        return four_digits(probability)
    return four_digits(at_temperature(probability, temperature))
