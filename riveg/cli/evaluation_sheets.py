"""An evaluation in tables of at most 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from riveg.cli.sheets import Sheet, number, with_interval
from riveg.cli.visible import counted
from riveg.evaluation.evaluation import Evaluation
from riveg.evaluation.explanation import NOT_SCORED
from riveg.evaluation.protocols import PROTOCOLS
from riveg.evaluation.reviewing import ReviewCost, ReviewCount
from riveg.evaluation.scores import BoxFit, MetricScore, TypeScore
from riveg.evaluation.scoring import CANONICAL

_NAMES = {
    "mner": "MNER",
    "fmner": "FMNER fine",
    "eeg": "EEG",
    "gmner": "GMNER",
    "fmnerg": "FMNERG fine",
    "smner": "SMNER",
    "span": "span only",
    "grounded": "grounded only",
    "never_ground": "never ground",
    "perfect_boxes": "perfect boxes",
}
"""Metrics in the order in which they are shown."""


HEADING = 10
"""Columns of the headings of :func:`head_lines`."""


def head_lines(evaluation: Evaluation) -> Iterator[str]:
    """What was scored and how, to stand above every number."""
    version = f", version {evaluation.data_version}" if evaluation.data_version else ""
    split = f", split {evaluation.split}" if evaluation.split else ""
    yield f"data      {evaluation.data}{version}{split}"
    yield (
        f"scored    {counted(evaluation.samples, 'sample')}"
        f"{' (partial: --limit)' if evaluation.partial else ''}, "
        f"{counted(evaluation.predicted, 'entity', 'entities')} predicted, "
        f"{evaluation.gold} in the gold"
    )
    yield f"from      {evaluation.predictions}" + (
        f" (system {evaluation.system})" if evaluation.system else f" ({evaluation.format})"
    )
    yield f"protocol  {_protocol_text(evaluation)}"
    if evaluation.scores[CANONICAL].get("smner") is not None:
        yield f"masks     {_mask_text(evaluation)}"
    yield f"excluded  {_excluded(evaluation)}"
    yield f"oracle    {', '.join(evaluation.oracle_stages) or 'none'}"
    for note in evaluation.notes:
        yield f"note      {note}"


def _protocol_text(evaluation: Evaluation) -> str:
    rules = evaluation.rules
    sign = ">" if rules.strict else ">="
    return f"canonical: same tokens, best region, IoU {sign} {rules.iou:g} in original pixels"


def _mask_text(evaluation: Evaluation) -> str:
    rules = evaluation.rules
    which = "any of the gold masks" if rules.masks == "any" else "the union of the gold masks"
    return f"IoU {'>' if rules.strict else '>='} {rules.mask_iou:g} with {which}"


def _excluded(evaluation: Evaluation) -> str:
    parts = []
    if evaluation.without_gold:
        parts.append(f"{counted(evaluation.without_gold, 'predicted sample')} without gold")
    if evaluation.without_prediction:
        missing = counted(evaluation.without_prediction, "gold sample")
        nothing = "" if parts else "nothing, but "
        parts.append(f"{nothing}{missing} without prediction count as missed")
    if evaluation.unanswered:
        parts.append(f"{counted(evaluation.unanswered, 'sample')} unanswered, counted as missed")
    return "; ".join(parts) or "none"


def sheets(evaluation: Evaluation) -> Iterator[Sheet]:
    """All its tables that have something to tell."""
    return (sheet for sheet in _sheets(evaluation) if sheet.rows)


def _sheets(evaluation: Evaluation) -> Iterator[Sheet]:
    yield _score_sheet(evaluation)
    for name, scores in evaluation.scores.items():
        if name != CANONICAL:
            yield _protocol_sheet(name, scores)
    yield _type_sheet(evaluation)
    yield _fine_type_sheet(evaluation)
    if evaluation.slices is not None:
        yield _slice_sheet(evaluation.slices)
    if evaluation.confusion:
        yield _confusion_sheet(evaluation)
    if evaluation.boxes is not None and evaluation.boxes.gold:
        yield _box_sheet(evaluation)
    if evaluation.reviews is not None:
        yield _review_sheet(evaluation.reviews, evaluation.review_cost)
    if evaluation.budget is not None:
        yield _budget_sheet(evaluation)
    if evaluation.average_precision is not None:
        yield _average_precision_sheet(evaluation)


def _score_sheet(evaluation: Evaluation) -> Sheet:
    scores = evaluation.scores[CANONICAL]
    rows = [
        (_shown_name(metric, scores), *_score_cells(scores[metric]))
        for metric in _NAMES
        if metric in scores
    ]
    return Sheet("scores, with 95 % intervals", ("", "P", "R", "F1", "hits"), tuple(rows))


def _score_cells(score: MetricScore | None) -> tuple[str, str, str, str]:
    if score is None:
        return "", "", NOT_SCORED, ""
    return (
        with_interval(score.precision, score.precision_interval),
        with_interval(score.recall, score.recall_interval),
        with_interval(score.f1, score.interval),
        str(score.hits),
    )


def _shown_name(metric: str, scores: Mapping[str, object]) -> str:
    coarse = " coarse" if "fmner" in scores and metric in {"mner", "gmner"} else ""
    return _NAMES[metric] + coarse


def _protocol_sheet(name: str, scores: Mapping[str, MetricScore | None]) -> Sheet:
    rows = [
        (_NAMES.get(metric, metric), *_protocol_cells(score)) for metric, score in scores.items()
    ]
    swapped = "; P and R swapped" if PROTOCOLS[name].swapped else ""
    return Sheet(
        f"protocol {name}: {PROTOCOLS[name].summary}{swapped}",
        ("", "hits", "predicted", "gold", "P", "R", "F1"),
        tuple(rows),
    )


def _protocol_cells(score: MetricScore | None) -> tuple[str, ...]:
    if score is None:
        return "", "", "", "", "", NOT_SCORED
    return (
        str(score.hits),
        str(score.predicted),
        str(score.gold),
        number(score.precision),
        number(score.recall),
        with_interval(score.f1, score.interval),
    )


def _type_sheet(evaluation: Evaluation) -> Sheet:
    coarse = {name: scores for name, scores in evaluation.by_type.items() if "mner" in scores}
    return _shares_sheet("by type", coarse)


def _slice_sheet(slices: Mapping[str, Mapping[str, TypeScore]]) -> Sheet:
    return _shares_sheet("by slice; posts by their entities in the gold", slices)


def _shares_sheet(title: str, table: Mapping[str, Mapping[str, TypeScore]]) -> Sheet:
    metrics = _metrics_in(table, ("mner", "gmner"))
    rows = []
    for name, scores in table.items():
        counted = next(iter(scores.values()))
        rows.append((name, str(counted.gold), str(counted.predicted), *_shares(scores, metrics)))
    headings = [heading for name in metrics for heading in (f"{_NAMES[name]} P", "R", "F1")]
    return Sheet(title, ("", "gold", "predicted", *headings), tuple(rows))


def _fine_type_sheet(evaluation: Evaluation) -> Sheet:
    types = {label: scores for label, scores in evaluation.by_type.items() if "fmner" in scores}
    metrics = _metrics_in(types, ("fmner", "fmnerg"))
    rows = [
        (label, str(scores["fmner"].gold), *_shares(scores, metrics))
        for label, scores in types.items()
    ]
    title = f"by fine type: {', then '.join(map(str.upper, metrics))}"
    # Fine types have long names: the headings are short so that they stay on one line.
    return Sheet(title, ("", "gold", *("P", "R", "F1") * len(metrics)), tuple(rows))


def _metrics_in(table: Mapping[str, Mapping[str, TypeScore]], metrics: Sequence[str]) -> list[str]:
    return [name for name in metrics if any(name in scores for scores in table.values())]


def _shares(scores: Mapping[str, TypeScore], metrics: Sequence[str]) -> Iterator[str]:
    for metric in metrics:
        if metric in scores:
            score = scores[metric]
            yield from map(number, (score.precision, score.recall, score.f1))
        else:
            yield from ("", "", "")


def _confusion_sheet(evaluation: Evaluation) -> Sheet:
    said = ("shown", "not shown", "not answered")
    rows = [
        (shown, *(str(evaluation.confusion.get(shown, {}).get(column, 0)) for column in said))
        for shown in ("shown", "not shown")
    ]
    return Sheet(
        "in the picture or not, of entities with the right words and type",
        ("gold", *(f"said {column}" for column in said[:2]), said[2]),
        tuple(rows),
    )


def _review_sheet(reviews: Mapping[str, ReviewCount], cost: ReviewCost | None) -> Sheet:
    rows = [
        (
            kind,
            *map(str, (count.entities, count.asked)),
            number(count.share),
            *map(str, (count.changed, _known(count.fixed), _known(count.broken))),
            *map(str, (count.unchanged, count.unsure)),
        )
        for kind, count in reviews.items()
    ]
    columns = ("", "entities", "asked", "%", "changed", "fixed", "broken", "unchanged", "unsure")
    return Sheet(f"second looks; {_cost_text(cost or ReviewCost())}", columns, tuple(rows))


def _known(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _cost_text(cost: ReviewCost) -> str:
    price = "unknown" if cost.cost is None else f"{cost.cost:.4g} {cost.currency}"
    return (
        f"requests {_known(cost.requests)}, tokens {_known(cost.prompt_tokens)} in and "
        f"{_known(cost.answer_tokens)} out, cost {price}"
    )


def _box_sheet(evaluation: Evaluation) -> Sheet:
    fits: dict[str, BoxFit] = {}
    if evaluation.boxes is not None:
        fits["all"] = evaluation.boxes
    fits |= {
        "small, below 1/50" if name == "small" else name: fit
        for name, fit in evaluation.boxes_by_size.items()
    }
    fits |= evaluation.boxes_by_number
    rows = [
        (
            name,
            str(fit.gold),
            number(fit.found),
            str(fit.compared),
            number(fit.accuracy_50),
            number(fit.accuracy_75),
            number(fit.mean_iou, 3),
        )
        for name, fit in fits.items()
    ]
    columns = ("", "gold", "found %", "fit", "IoU>=.5 %", "IoU>=.75 %", "mean IoU")
    return Sheet(
        "boxes of groundable entities; fit: of those with the right words and type",
        columns,
        tuple(rows),
    )


def _budget_sheet(evaluation: Evaluation) -> Sheet:
    rows = [
        (
            line.metric.upper(),
            line.mistake,
            str(line.entities),
            str(line.spurious) if line.spurious else "",
            number(line.points),
            number(line.f1),
        )
        for line in evaluation.budget or ()
    ]
    columns = ("", "mistake", "entities", "spurious", "points lost", "F1 without it")
    return Sheet("where the points go, from the last stage backwards", columns, tuple(rows), 2)


def _average_precision_sheet(evaluation: Evaluation) -> Sheet:
    found = (evaluation.average_precision or {}).items()
    rows = [
        (
            kind,
            *(number(value) for value in (each.ap, each.ap50, each.ap75, each.ar)),
            str(each.predicted),
            str(each.gold),
        )
        for kind, each in found
        if each is not None
    ]
    columns = ("", "AP", "AP50", "AP75", "AR", "predicted", "gold")
    return Sheet("COCO average precision and recall, %", columns, tuple(rows))
