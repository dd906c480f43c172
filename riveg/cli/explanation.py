"""``riveg eval --why``: one sample's verdicts, protocol by protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riveg.cli.sheets import Sheet
from riveg.cli.tables import plain, print_hanging, stdout
from riveg.evaluation.explanation import NOT_SCORED
from riveg.geometry.boxes import box_text
from riveg.text.label_text import label_text

if TYPE_CHECKING:
    from riveg.evaluation.cases import AnnotatedEntity, PredictedEntity
    from riveg.evaluation.counts import Count
    from riveg.evaluation.explanation import EntityExplanation, Explanation


def print_explanation(explanation: Explanation) -> None:
    """Prints every entity with its prediction, its gold, and its mark under each protocol."""
    console = stdout()
    for note in explanation.notes:
        print_hanging(console, f"note  {note}", 6)
    for entity in explanation.entities:
        console.print(plain(_heading(entity)), style="bold", soft_wrap=True)
        if entity.predicted is not None:
            console.print(plain(f"  said  {_prediction_text(entity.predicted)}"), soft_wrap=True)
        if entity.gold is not None:
            console.print(plain(f"  gold  {_gold_text(entity.gold)}"), soft_wrap=True)
        if entity.marks:
            marks = ", ".join(f"{name}: {mark}" for name, mark in entity.marks.items())
            console.print(plain(f"  {marks}"), soft_wrap=True)
    if not explanation.entities:
        console.print("no entity, neither predicted nor in the gold")
    _counts(explanation).print()


def _heading(entity: EntityExplanation) -> str:
    verdict = entity.verdict
    named = entity.predicted or entity.gold
    fault = f", by {verdict.stage}" if verdict.stage else ""
    overlap = "" if verdict.iou is None else f", IoU {verdict.iou:.2f}"
    return f"{named.text if named else ''}: {verdict.kind}{fault}{overlap}"


def _prediction_text(predicted: PredictedEntity) -> str:
    if predicted.regions is None:
        where = {True: "shown, no box told", False: "not shown", None: "place not answered"}[
            predicted.groundable
        ]
    else:
        where = ", ".join(box_text(region.box) for region in predicted.regions) or "not shown"
    label = label_text(predicted.label, predicted.fine_label)
    return f"{predicted.text} {label} {_span_text(predicted)} {where}"


def _gold_text(gold: AnnotatedEntity) -> str:
    if gold.boxes is None:
        where = "no boxes annotated"
    else:
        where = ", ".join(map(box_text, gold.boxes)) or "not shown"
    label = label_text(gold.label, gold.fine_label)
    return f"{gold.text} {label} {_span_text(gold)} {where}"


def _span_text(entity: PredictedEntity | AnnotatedEntity) -> str:
    return "[no offsets]" if entity.span is None else f"[{entity.span.start}-{entity.span.end}]"


def _counts(explanation: Explanation) -> Sheet:
    rows = [
        (protocol, metric, *_count_cells(count))
        for protocol, counts in explanation.counts.items()
        for metric, count in counts.items()
    ]
    columns = ("protocol", "metric", "hits", "predicted", "gold")
    return Sheet("counts of this sample", columns, tuple(rows), wordy=2)


def _count_cells(count: Count | None) -> tuple[str, str, str]:
    if count is None:
        return NOT_SCORED, "", ""
    return str(count.hits), str(count.predicted), str(count.gold)
