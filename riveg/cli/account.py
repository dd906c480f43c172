"""``riveg eval --why``: one sample's verdicts, protocol by protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riveg.cli.sheets import Sheet
from riveg.cli.tables import plain, stdout
from riveg.geometry.boxes import box_text

if TYPE_CHECKING:
    from riveg.evaluation.cases import Annotated, Predicted
    from riveg.evaluation.why import Account, EntityAccount


def print_account(account: Account) -> None:
    """Every entity with what was said, what is annotated, and what each protocol makes of it."""
    console = stdout()
    for entity in account.entities:
        console.print(plain(_heading(entity)), style="bold", soft_wrap=True)
        if entity.predicted is not None:
            console.print(plain(f"  said  {_said(entity.predicted)}"), soft_wrap=True)
        if entity.gold is not None:
            console.print(plain(f"  gold  {_annotated(entity.gold)}"), soft_wrap=True)
        if entity.marks:
            marks = ", ".join(f"{name}: {mark}" for name, mark in entity.marks.items())
            console.print(plain(f"  {marks}"), soft_wrap=True)
    if not account.entities:
        console.print("no entity, neither predicted nor in the gold")
    _counts(account).print()


def _heading(entity: EntityAccount) -> str:
    verdict = entity.verdict
    named = entity.predicted or entity.gold
    fault = f", by {verdict.stage}" if verdict.stage else ""
    overlap = "" if verdict.iou is None else f", IoU {verdict.iou:.2f}"
    return f"{named.text if named else ''}: {verdict.kind}{fault}{overlap}"


def _said(predicted: Predicted) -> str:
    if predicted.regions is None:
        where = {True: "shown, no box told", False: "not shown", None: "place not answered"}[
            predicted.groundable
        ]
    else:
        where = ", ".join(box_text(region.box) for region in predicted.regions) or "not shown"
    return f"{predicted.text} {predicted.label} {_tokens(predicted)} {where}"


def _annotated(gold: Annotated) -> str:
    if gold.boxes is None:
        where = "no boxes annotated"
    else:
        where = ", ".join(map(box_text, gold.boxes)) or "not shown"
    label = gold.label if gold.fine_label is None else f"{gold.label}/{gold.fine_label}"
    return f"{gold.text} {label} {_tokens(gold)} {where}"


def _tokens(entity: Predicted | Annotated) -> str:
    return "[no offsets]" if entity.span is None else f"[{entity.span.start}-{entity.span.end}]"


def _counts(account: Account) -> Sheet:
    rows = [
        (protocol, metric, str(count.hits), str(count.predicted), str(count.gold))
        for protocol, counts in account.counts.items()
        for metric, count in counts.items()
    ]
    columns = ("protocol", "metric", "hits", "predicted", "gold")
    return Sheet("counts of this sample", columns, tuple(rows), wordy=2)
