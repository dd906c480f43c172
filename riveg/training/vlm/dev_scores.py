"""Posts of dev as they are scored: by riveg's own protocol, and as E2E-GMNER does."""

from __future__ import annotations

from collections.abc import Mapping

from riveg.datasets.dataset import Dataset
from riveg.errors import UserError
from riveg.evaluation.canonical import Rules
from riveg.evaluation.cases import CaseScorer
from riveg.evaluation.counts import Count
from riveg.evaluation.gold import read_gold
from riveg.evaluation.protocols import PROTOCOLS
from riveg.evaluation.protocols.e2e import METRICS
from riveg.evaluation.scoring import scorer_of
from riveg.types import Sample

GMNER = "gmner"
"""Spans, types and boxes by the canonical protocol."""


class DevScores:
    """Counts ``mner``, ``eeg`` and ``gmner``, and the same as ``e2e_mner`` and so on.

    Args:
        dataset: Dev.

    Raises:
        UserError: If its gold has no boxes.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._gold = read_gold(dataset)
        if not self._gold.has_boxes:
            raise UserError(f"{dataset.name} {dataset.split}: its gold has no boxes to score by")
        self._scorers: Mapping[str, CaseScorer] = {
            "": scorer_of(self._gold, Rules()),
            "e2e_": PROTOCOLS["e2e"].scorer(),
        }

    def counts(self, found: Sample) -> Mapping[str, Count]:
        """Of a post of dev with what was found in it."""
        case = self._gold.case_of(found)
        assert case is not None, "only annotated posts are asked about"
        counted = {prefix: scorer(case) for prefix, scorer in self._scorers.items()}
        return {
            f"{prefix}{name}": counts[name]
            for prefix, counts in counted.items()
            for name in METRICS
        }
