"""Figures of an entailer: how often it is right, and the threshold that fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from riveg.evaluation.bootstrap import Tally
from riveg.evaluation.counts import Count
from riveg.evaluation.threshold_search import Scored, best_threshold
from riveg.training.entailer_itm.data import MatchRow
from riveg.training.temperature import fit_temperature
from riveg.vision.matchers.trained import MatcherSettings, calibrated

ACCURACY, SHOWN = "accuracy", "shown_f1"
"""Figures in percent: how often the gate is right; F1 of the mentions that are shown."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A mention, and the network's probability that its picture shows it, as it is."""

    row: MatchRow
    probability: float


def calibrate(judged: Sequence[Judged], query: str) -> MatcherSettings:
    """The temperature of least log-loss, and the threshold that is right most often.

    Args:
        judged: At least one mention.
        query: The template of the texts.
    """
    temperature = fit_temperature(
        [one.probability for one in judged], [one.row.is_shown for one in judged]
    )
    temperature = round(temperature, 4)
    scored = [
        Scored(calibrated(one.probability, temperature), one.row.is_shown, not one.row.is_shown)
        for one in judged
    ]
    threshold = best_threshold(scored).value
    return MatcherSettings(query=query, threshold=threshold, temperature=temperature)


def tally(judged: Sequence[Judged], settings: MatcherSettings) -> Tally:
    """Hits, predicted and gold of each post, by figure; mentions of a post stand together."""
    counted = Tally()
    for _, together in groupby(judged, lambda one: one.row.post):
        answers = [
            (
                calibrated(one.probability, settings.temperature) >= settings.threshold,
                one.row.is_shown,
            )
            for one in together
        ]
        right = sum(said == is_shown for said, is_shown in answers)
        hits = sum(said and is_shown for said, is_shown in answers)
        said, shown = (sum(column) for column in zip(*answers, strict=True))
        counted.add(
            {ACCURACY: Count(right, len(answers), len(answers)), SHOWN: Count(hits, said, shown)}
        )
    return counted
