"""A way of counting, and what a user should know of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from riveg.evaluation.canonical import FINE_OF
from riveg.evaluation.cases import AnnotatedEntity, Case, CaseScorer, Detail, PredictedEntity
from riveg.evaluation.counts import Count


def keeps_every_sample(_case: Case) -> bool:
    """Leaves nothing out."""
    return False


@dataclass(frozen=True, slots=True)
class Protocol:
    """A named way of counting hits, predicted and gold entities.

    Args:
        name: What users call it.
        summary: One line for tables.
        metrics: The metrics that it counts, in the order of the tables.
        build: Makes the scorer; the counts of samples add up.
        swapped: Whether the released program prints precision and recall under each other's name.
        decimals: Decimals that the released program rounds percentages to; ``None``: it does not.
        leaves_out: Whether a sample is not counted at all.
        least_detail: What predictions must say of an entity for it to count as predicted; those
            that say less cannot be scored at all.
        by_candidate: Whether a place is the index of a detector's box.
        notes: Its faults and peculiarities, one line each.
    """

    name: str
    summary: str
    metrics: tuple[str, ...]
    build: Callable[[], CaseScorer]
    swapped: bool = False
    decimals: int | None = None
    leaves_out: Callable[[Case], bool] = keeps_every_sample
    least_detail: Detail = "tags"
    by_candidate: bool = False
    notes: tuple[str, ...] = ()

    def scorer(self, *, fine: bool = False) -> CaseScorer:
        """The scorer.

        Args:
            fine: Whether fine labels are compared too, which adds ``fmner`` and ``fmnerg``. Each of
                the released programs compares the one label that its files hold, so that it counts
                twice: once with the coarse labels, once with the fine ones.
        """
        return _on_both_levels(self.build()) if fine else self.build()


def _on_both_levels(score: CaseScorer) -> CaseScorer:
    def scored(case: Case) -> Mapping[str, Count]:
        coarse, fine = score(case), score(_on_fine_labels(case))
        typed = {name: coarse[name] for name in FINE_OF if name in coarse}
        # What is left has no type in it, but TIGER merges by type: its files hold the fine one.
        return {**fine, **typed, **{FINE_OF[name]: fine[name] for name in typed}}

    return scored


def _on_fine_labels(case: Case) -> Case:
    return replace(
        case,
        predicted=tuple(replace(one, label=_finest(one)) for one in case.predicted),
        gold=tuple(replace(one, label=_finest(one)) for one in case.gold),
    )


def _finest(entity: PredictedEntity | AnnotatedEntity) -> str:
    return entity.fine_label or entity.label
