"""Where points are lost: gold takes the place of stages, from the last stage backwards.

Each step makes one more kind of answer right in the same predictions, and no stage runs again, so
the lines add up to 100 less the score. What a later stage makes of better input is not in them;
:func:`gold_reruns` gives the runs that show it.
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
from riveg.evaluation.counts import NOTHING, Count
from riveg.evaluation.reruns import rerun_command
from riveg.formats.run_records import finished_manifest

MNER, GMNER, SMNER = "mner", "gmner", "smner"
FMNER, FMNERG = "fmner", "fmnerg"

_Steps = tuple[tuple[str, tuple[str, ...]], ...]
"""For each kind of mistake, the agreements of which one suffices for a hit before it is mended."""

_WORDS: _Steps = (("type", ("mner",)), ("span", ("span",)))
_BOXES: _Steps = (
    ("box", ("gmner",)),
    ("groundability", ("gmner", "perfect_boxes")),
    *_WORDS,
)
_MASKS: _Steps = (
    ("mask", ("smner",)),
    ("box", ("smner", "gmner")),
    ("groundability", ("smner", "gmner", "perfect_boxes")),
    *_WORDS,
)
_MASKS_ALONE: _Steps = (
    ("mask", ("smner",)),
    ("groundability", ("smner", "perfect_boxes")),
    *_WORDS,
)
_FINE_WORDS: _Steps = (
    ("fine type", ("fmner",)),
    ("type", ("fmner", "mner")),
    ("span", ("span",)),
)
_FINE_BOXES: _Steps = (
    ("fine type", ("fmnerg",)),
    ("box", ("fmnerg", "gmner")),
    ("groundability", ("fmnerg", "gmner", "perfect_boxes")),
    ("type", ("fmner", "mner")),
    ("span", ("span",)),
)


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """What one kind of mistake costs.

    Args:
        metric: The score that is broken up: ``gmner`` or ``smner``, else ``mner``; also ``fmnerg``,
            else ``fmner``, where fine labels are compared.
        mistake: ``fine type``, ``mask``, ``box``, ``groundability``, ``type`` or ``span``.
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


def error_budget(
    cases: Iterable[Case], rules: Rules | None = None, *, boxes: bool = True, masks: bool = False
) -> tuple[BudgetLine, ...]:
    """How many F1 points are lost at mask, box, groundability, type and span.

    The steps start at ``gmner`` and make right: boxes, where the system rightly says that there is
    one; then groundability (the score is ``mner`` now); then types (``span``); then spans (100).
    With masks, the same steps start at ``smner``, with masks first; with fine labels they start at
    ``fmnerg``, with fine types first. An entity without a decision on
    groundability is a mistake of groundability.

    Args:
        cases: The samples.
        rules: What counts as the right place, and whether fine labels are compared.
        boxes: Whether predictions and gold have boxes; without boxes and masks the budget is of
            ``mner``.
        masks: Whether predictions and gold have masks.

    Returns:
        The lines of ``gmner``, then of ``smner``, then of ``fmnerg``; no line where there is no
        entity at all.
    """
    rules = rules or Rules()
    budgets = _budgets(boxes=boxes, masks=masks, fine=bool(rules.coarse_of))
    counts = {
        metric: dict.fromkeys((mistake for mistake, _ in steps), NOTHING)
        for metric, steps in budgets.items()
    }
    is_empty = True
    for case in cases:
        sizes = len(case.predicted), len(case.gold)
        is_empty = is_empty and not any(sizes)
        pairs = list(related(case, rules))
        for metric, steps in budgets.items():
            for mistake, enough in steps:
                agreeing = [pair for pair in pairs if _agrees(case, pair, enough, rules)]
                counts[metric][mistake] += Count(_matched(agreeing, sizes[0]), *sizes)
    if is_empty:
        return ()
    return tuple(line for metric in budgets for line in _lines(metric, counts[metric]))


def _budgets(*, boxes: bool, masks: bool, fine: bool) -> Mapping[str, _Steps]:
    """The scores, each with its kinds of mistake, from the last stage to the first."""
    budgets = {GMNER: _BOXES} if boxes else {}
    if masks:
        budgets[SMNER] = _MASKS if boxes else _MASKS_ALONE
    budgets = budgets or {MNER: _WORDS}
    if fine:
        budgets |= {FMNERG: _FINE_BOXES} if boxes else {FMNER: _FINE_WORDS}
    return budgets


def _agrees(case: Case, pair: Relation, enough: Sequence[str], rules: Rules) -> bool:
    return any(
        pair.label and is_mask_right(case, pair, rules) if name == SMNER else AGREEMENTS[name](pair)
        for name in enough
    )


def _matched(pairs: Sequence[Relation], predicted: int) -> int:
    return sum(partner is not None for partner in pair_up(pairs, predicted)) if pairs else 0


def _lines(metric: str, counts: Mapping[str, Count]) -> Iterable[BudgetLine]:
    for (mistake, before), after in zip(counts.items(), [*counts.values()][1:], strict=False):
        gained = after.hits - before.hits
        yield BudgetLine(metric, mistake, gained, 0, after.f1 - before.f1, after.f1)
    mistake, last = [*counts.items()][-1]
    missed, spurious = last.gold - last.hits, last.predicted - last.hits
    yield BudgetLine(metric, mistake, missed, spurious, 100.0 - last.f1, 100.0)


_ORACLES = ("tag", "entail", "ground")


def gold_reruns(folder: Path) -> tuple[str, ...]:
    """The commands that run a system again with gold in place of one stage.

    These runs show what later stages make of a perfect stage, which no record does. Stages that the
    run does not have, or that read gold already, are left out.
    """
    manifest = finished_manifest(folder)
    oracles = manifest.get("oracle_stages", ())
    return tuple(
        rerun_command(folder, f"{stage}.backend=gold", suffix=f"{stage}-gold")
        for stage in _ORACLES
        if stage in manifest.get("stages", {}) and stage not in oracles
    )
