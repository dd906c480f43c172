"""``riveg compare``: two systems on the same samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from riveg.cli.numbers import MOST_COUNTED, MOST_RESAMPLES, finite
from riveg.cli.places import opened
from riveg.cli.visible import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from riveg.cli.sheets import Sheet
    from riveg.evaluation.comparison import Change, Comparison
    from riveg.evaluation.differences import Difference

_WHAT = "A run folder, a records file, or another system's output."


def compare(
    run_a: Path = typer.Argument(metavar="RUN_A", help=_WHAT, callback=opened),
    run_b: Path = typer.Argument(
        metavar="RUN_B", help="What it is compared with.", callback=opened
    ),
    gold: str | None = typer.Option(
        None,
        help="A dataset, or the gold file of RiVEG, UnCo or SAKE (default: the first run's own).",
    ),
    split: str | None = typer.Option(None, help="Split of the gold (default: the run's)."),
    metric: str | None = typer.Option(None, help="Only this metric, for example gmner."),
    iou: float = typer.Option(
        0.5, min=0.0, max=1.0, callback=finite, help="Least overlap of boxes."
    ),
    strict: bool = typer.Option(False, help="Overlap must exceed the bound, not only reach it."),
    show: int = typer.Option(
        10, min=0, max=MOST_COUNTED, help="List at most so many entities of a kind."
    ),
    resamples: int = typer.Option(1000, min=10, max=MOST_RESAMPLES, help="Bootstrap resamples."),
    json_file: str | None = typer.Option(
        None, "--json", metavar="FILE", help="Write everything as JSON; - prints it instead."
    ),
) -> None:
    """Test the difference of two systems. Lists the entities that make it."""
    from riveg.cli.json_output import write_json
    from riveg.cli.tables import plain, print_hanging, stdout
    from riveg.evaluation.canonical import Rules
    from riveg.evaluation.comparison import compare as compare_predictions
    from riveg.evaluation.reading import open_gold, open_predictions

    a, b = (open_predictions(run) for run in (run_a, run_b))
    annotation = open_gold(gold, a, split=split)
    found = compare_predictions(
        a, b, annotation, rules=Rules(iou, strict), metric=metric, resamples=resamples
    )
    if json_file is not None:
        write_json(found, json_file)
    if json_file == "-":
        return
    console = stdout()
    for line in _head(found):
        if line.startswith(("A ", "B ")):  # A path stays in one piece, to be copied.
            console.print(plain(line), soft_wrap=True)
        else:
            print_hanging(console, line, _HEADING)
    for sheet in _sheets(found, show):
        sheet.print()


_HEADING = 10


def _head(found: Comparison) -> Iterator[str]:
    yield f"A         {found.a}"
    yield f"B         {found.b}"
    data = " ".join(word for word in (found.data, found.data_version, found.split) if word)
    sign = ">" if found.rules.strict else ">="
    yield f"gold      {data}, canonical, IoU {sign} {found.rules.iou:g}"
    yield f"compared  {counted(found.samples, 'sample')} that both have"
    for stages, who in zip(found.oracle_stages, "AB", strict=True):
        if stages:
            yield f"oracle    {', '.join(stages)} of {who} looked at gold"
    for number, who in ((found.only_a, "A"), (found.only_b, "B")):
        if number:
            yield f"left out  {counted(number, 'sample')} that only {who} has"
    for number, who in zip(found.without_gold, "AB", strict=True):
        if number:
            yield f"left out  {counted(number, 'sample')} of {who} without gold"
    for note in found.notes:
        yield f"note      {note}"


def _sheets(found: Comparison, show: int) -> Iterator[Sheet]:
    from riveg.cli.sheets import Sheet
    from riveg.evaluation.comparison import OUTCOMES

    rows = tuple((name, *_difference_cells(one)) for name, one in found.metrics.items())
    title = f"F1, paired bootstrap over samples, {found.resamples} resamples"
    yield Sheet(title, ("metric", "A", "B", "B - A", "95 % of B - A", "p"), rows)
    counts = tuple((name, str(number)) for name, number in found.counts.items())
    yield Sheet(f"entities, by {_JUDGED[found.detail]} under A and B", ("", "entities"), counts)
    for title, table in (("by type", found.by_type), ("by stage at fault", found.by_stage)):
        lines = tuple((key, *map(str, numbers.values())) for key, numbers in table.items())
        if lines:
            yield Sheet(title, ("", *OUTCOMES), lines)
    for outcome in OUTCOMES:
        changes = [one for one in found.entities if one.outcome == outcome]
        if not changes or not show:
            continue
        shown = changes[:show]
        more = f", the first {show} (--show, --json)" if len(changes) > show else ""
        cells = tuple(
            (one.sample_id, one.text, one.label, _verdict(one), one.stage or "") for one in shown
        )
        columns = ("sample", "entity", "type", "A -> B", "stage")
        yield Sheet(f"{outcome}: {len(changes)}{more}", columns, cells, wordy=5)


_JUDGED = {
    "tags": "MNER verdict",
    "groundability": "verdict on words, type and groundability",
    "regions": "GMNER verdict",
}
"""What verdicts are of, by what both systems say."""


def _difference_cells(one: Difference | None) -> tuple[str, ...]:
    if one is None:
        return "", "", "not scored", "", ""
    return (
        f"{one.a_f1:.2f}",
        f"{one.b_f1:.2f}",
        f"{one.difference:+.2f}",
        f"[{one.interval[0]:+.2f}, {one.interval[1]:+.2f}]",
        f"{one.p:.3f}",
    )


def _verdict(change: Change) -> str:
    if change.before == change.after:
        return change.before
    return f"{change.before} -> {change.after}"
