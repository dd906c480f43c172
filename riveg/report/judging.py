"""Judges a run by its gold: the verdicts of each sample, and the scores of ``riveg eval``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from riveg.evaluation.canonical import Rules
from riveg.evaluation.cases import AnnotatedEntity, Detail
from riveg.evaluation.evaluate import evaluate
from riveg.evaluation.evaluation import Evaluation
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.predictions import Predictions
from riveg.evaluation.scoring import rules_for
from riveg.evaluation.verdicts import Verdict, verdicts
from riveg.types import Sample


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of the entities of one sample.

    Args:
        gold: The annotated entities; ``None`` where the sample has no gold.
        verdicts: As :func:`riveg.evaluation.verdicts.verdicts` gives them; ``()`` without gold.
    """

    gold: tuple[AnnotatedEntity, ...] | None = None
    verdicts: tuple[Verdict, ...] = ()


class Judge:
    """Gives verdicts by the canonical rules, sample by sample.

    Args:
        predictions: The run, as it is scored.
        gold: The annotation; ``None``: no sample is judged.
        detail: What counts: words and types alone, also whether the image shows an entity, also
            where.
        fine: Whether fine labels count.

    Raises:
        UserError: If the run and the gold do not belong together.
    """

    def __init__(
        self,
        predictions: Predictions,
        gold: GoldSet | None,
        *,
        detail: Detail = "regions",
        fine: bool = False,
    ) -> None:
        self._gold = gold
        self._stages = predictions.stages
        self._detail = detail
        self._rules = Rules()
        self.evaluation: Evaluation | None = None
        self._kinds: Counter[str] = Counter()
        if gold is not None:
            self.evaluation = evaluate(predictions, gold)
            self._rules = rules_for(gold, self._rules, fine=fine)

    @property
    def kinds(self) -> Mapping[str, int]:
        """How often each verdict was given so far."""
        return self._kinds

    def judge(self, sample: Sample) -> Judgement:
        """The verdicts of one sample."""
        case = self._gold.case_of(sample) if self._gold else None
        if case is None or self._gold is None:
            return Judgement()
        found = verdicts(case, self._rules, self._stages, detail=self._detail)
        self._kinds.update(verdict.kind for verdict in found)
        return Judgement(case.gold, found)
