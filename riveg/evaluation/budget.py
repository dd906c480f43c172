"""Where the points were lost: gold put in stage by stage, from the last one backwards.

Each step makes one more kind of answer right on the same predictions, without running anything
again, so that the lines add up to 100 less the score. What an earlier stage would have made of
better input is not in them; :func:`gold_reruns` names the runs that tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from riveg.evaluation.canonical import (
    AGREEMENTS,
    Relation,
    Rules,
    is_mask_right,
    pair_up,
    related,
)
from riveg.evaluation.cases import Case
from riveg.evaluation.counts import Count
from riveg.evaluation.reruns import rerun_command
from riveg.runs import RunFolder

GMNER, SMNER = "gmner", "smner"

_STEPS: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    GMNER: (
        ("box", ("gmner",)),
        ("groundability", ("gmner", "perfect_boxes")),
        ("type", ("mner",)),
        ("span", ("span",)),
    ),
    SMNER: (
        ("mask", ("smner",)),
        ("box", ("smner", "gmner")),
        ("groundability", ("smner", "gmner", "perfect_boxes")),
        ("type", ("mner",)),
        ("span", ("span",)),
    ),
}
"""For each kind of mistake, of which agreements one is enough for a hit while it is there."""


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """What one kind of mistake costs.

    Args:
        metric: The score that is broken up: ``gmner`` or ``smner``.
        mistake: ``mask``, ``box``, ``groundability``, ``type`` or ``span``.
        entities: Hits that there would be more without such mistakes; for ``span``, gold entities
            that no prediction has the words of.
        spurious: For ``span``, predicted entities whose words are no gold entity's; otherwise 0.
        points: F1 points lost, 0 to 100.
        f1: F1 without such mistakes and without those of the lines before, 0 to 100.
    """

    metric: str
    mistake: str
    entities: int
    spurious: int
    points: float
    f1: float


def error_budget(cases: Iterable[Case], rules: Rules | None = None) -> tuple[BudgetLine, ...]:
    """How many F1 points go at mask, box, groundability, type and span.

    From ``gmner``: its boxes made right where the system rightly said that there is one; then what
    it says of groundability (that is ``mner``); then its types (``span``); then its spans (100).
    Where the gold has masks, the same from ``smner``, masks first. An entity of which
    nobody has said whether the picture shows it is a mistake of groundability.

    Returns:
        The lines of ``gmner``, then those of ``smner``; none where there is no entity at all.
    """
    rules = rules or Rules()
    hits: dict[tuple[str, str], int] = {}
    predicted = gold = 0
    has_masks = False
    for case in cases:
        predicted += len(case.predicted)
        gold += len(case.gold)
        has_masks = has_masks or any(entity.masks is not None for entity in case.gold)
        pairs = list(related(case, rules))
        for metric, steps in _STEPS.items():
            for mistake, enough in steps:
                agreeing = [pair for pair in pairs if _agrees(case, pair, enough, rules)]
                key = metric, mistake
                hits[key] = hits.get(key, 0) + _matched(agreeing, len(case.predicted))
    if not predicted and not gold:
        return ()
    metrics = (GMNER, SMNER) if has_masks else (GMNER,)
    return tuple(line for metric in metrics for line in _lines(metric, hits, predicted, gold))


def _agrees(case: Case, pair: Relation, enough: Sequence[str], rules: Rules) -> bool:
    return any(
        pair.label and is_mask_right(case.predicted[pair.predicted], case.gold[pair.gold], rules)
        if name == SMNER
        else AGREEMENTS[name](pair)
        for name in enough
    )


def _matched(pairs: Sequence[Relation], predicted: int) -> int:
    return sum(partner is not None for partner in pair_up(pairs, predicted)) if pairs else 0


def _lines(
    metric: str, hits: Mapping[tuple[str, str], int], predicted: int, gold: int
) -> Iterable[BudgetLine]:
    steps = [mistake for mistake, _ in _STEPS[metric]]
    counts = [Count(hits[metric, mistake], predicted, gold) for mistake in steps]
    for mistake, before, after in zip(steps, counts, counts[1:], strict=False):
        gained = after.hits - before.hits
        yield BudgetLine(metric, mistake, gained, 0, after.f1 - before.f1, after.f1)
    last = counts[-1]
    missed, spurious = gold - last.hits, predicted - last.hits
    yield BudgetLine(metric, steps[-1], missed, spurious, 100.0 - last.f1, 100.0)


_ORACLES = ("tag", "entail", "ground")


def gold_reruns(folder: Path) -> tuple[str, ...]:
    """The commands that run a system again with gold in place of one stage.

    They tell what the stages after it would make of a perfect one, which no record does. Stages
    that the run has not, or that read gold already, are left out.
    """
    manifest = RunFolder(folder).read_manifest()
    oracles = manifest.get("oracle_stages", ())
    return tuple(
        rerun_command(folder, f"{stage}.backend=gold", suffix=f"{stage}-gold")
        for stage in _ORACLES
        if stage in manifest.get("stages", {}) and stage not in oracles
    )
