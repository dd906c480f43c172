"""How answers on dev are scored: riveg's own protocol and E2E-GMNER's, types, words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from riveg.datasets.dataset import Dataset
from riveg.errors import UserError
from riveg.evaluation.canonical import Rules
from riveg.evaluation.cases import CaseScorer
from riveg.evaluation.counts import NOTHING, Count
from riveg.evaluation.gold import read_gold
from riveg.evaluation.protocols import PROTOCOLS
from riveg.evaluation.protocols.e2e import METRICS
from riveg.evaluation.scoring import scorer_of
from riveg.lessons.questions import Lesson
from riveg.lessons.reranking import Reranking
from riveg.lessons.rewriting import Rewriting
from riveg.types import Gold, Sample


class DevScores(Protocol):
    """What a stage is worth on dev."""

    @property
    def metric(self) -> str:
        """The key of :meth:`counts` whose F1 chooses the best epoch."""

    def counts(self, found: Sample, gold: Gold) -> Mapping[str, Count]:
        """Hits, predicted and gold of a post that the stage was asked about, by figure."""


class PlaceScores:
    """Counts ``mner``, ``eeg`` and ``gmner``, and the same as ``e2e_mner`` and so on.

    Args:
        dataset: Dev.

    Raises:
        UserError: If its gold has no boxes.
    """

    metric = "gmner"

    def __init__(self, dataset: Dataset) -> None:
        self._gold = read_gold(dataset)
        if not self._gold.has_boxes:
            raise UserError(f"{dataset.name} {dataset.split}: its gold has no boxes to score by")
        self._scorers: Mapping[str, CaseScorer] = {
            "": scorer_of(self._gold, Rules()),
            "e2e_": PROTOCOLS["e2e"].scorer(),
        }

    def counts(self, found: Sample, gold: Gold) -> Mapping[str, Count]:  # noqa: ARG002
        """Of a post of dev with what was found in it."""
        case = self._gold.case_of(found)
        assert case is not None, "only annotated posts are asked about"
        counted = {prefix: scorer(case) for prefix, scorer in self._scorers.items()}
        return {
            f"{prefix}{name}": counts[name]
            for prefix, counts in counted.items()
            for name in METRICS
        }


class TypeScores:
    """Counts as ``accuracy`` how often the candidate that is chosen is the gold type."""

    metric = "accuracy"

    def __init__(self, lesson: Reranking) -> None:
        self._lesson = lesson

    def counts(self, found: Sample, gold: Gold) -> Mapping[str, Count]:
        """Of a post of dev with the types that were chosen."""
        failed = {issue.entity_id for issue in found.issues}
        right = [self._lesson.right(found, annotated) for annotated in gold.entities]
        hits = sum(
            self._lesson.said(entity) == one and entity.id not in failed
            for one, entity in zip(right, found.entities or (), strict=True)
        )
        return {self.metric: Count(hits, len(right), len(right))}


class WordScores:
    """Counts as ``words`` those of the expressions that are the other run's, in any order."""

    metric = "words"

    def __init__(self, lesson: Rewriting) -> None:
        self._lesson = lesson

    def counts(self, found: Sample, gold: Gold) -> Mapping[str, Count]:  # noqa: ARG002
        """Of each entity that the other run has an expression for."""
        total = NOTHING
        for entity in found.entities or ():
            recorded = self._lesson.recorded(found, entity)
            if recorded is not None and recorded.expression is not None:
                wanted = Counter(recorded.expression.casefold().split())
                said = Counter((entity.expression or "").casefold().split())
                total += Count((wanted & said).total(), said.total(), wanted.total())
        return {self.metric: total}


def scores_of(lesson: Lesson, dev: Dataset) -> DevScores:
    """How a lesson is scored.

    Raises:
        UserError: If the gold of dev does not do for it.
    """
    if isinstance(lesson, Reranking):
        return TypeScores(lesson)
    if isinstance(lesson, Rewriting):
        return WordScores(lesson)
    return PlaceScores(dev)
