"""``riveg report``: a run as one page to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from riveg.cli.numbers import MOST_COUNTED
from riveg.cli.places import opened

if TYPE_CHECKING:
    from riveg.report.builder import WrittenPage

_MOST = 2000
"""Samples on a page, if nobody says otherwise: some 60 MB, which a browser opens at once."""

_MOST_PAGES = 1_000_000

NAMES = {
    "gmner": "GMNER",
    "eeg": "EEG",
    "mner": "MNER",
    "smner": "SMNER",
    "fmnerg": "FMNERG",
    "fmner": "FMNER",
}


def report(
    run: Path = typer.Argument(help="A run folder.", metavar="RUN", callback=opened),
    gold: str | None = typer.Option(None, help="Dataset whose gold the run is judged by."),
    split: str | None = typer.Option(None, help="Split of the gold (default: the run's)."),
    compare: Path | None = typer.Option(
        None,
        metavar="RUN_B",
        help="A second run of the same samples, shown beside the first.",
        callback=opened,
    ),
    out: Path | None = typer.Option(
        None, help="The page (default: RUN/report.html, RUN/report-2.html)."
    ),
    max_samples: int = typer.Option(
        _MOST, min=1, max=MOST_COUNTED, help="Samples on a page; totals are of all."
    ),
    page: int = typer.Option(
        1, min=1, max=_MOST_PAGES, help="Which page: 2 has the samples after those of the first."
    ),
) -> None:
    """Write one HTML page of a run. Pictures, boxes, masks, and what became of each entity."""
    from riveg.evaluation.predictions import predictions_of_run
    from riveg.evaluation.reading import open_gold
    from riveg.report.builder import write_page

    annotation = None
    if gold is not None:
        annotation = open_gold(gold, predictions_of_run(run), split=split)
    file = out or run / ("report.html" if page == 1 else f"report-{page}.html")
    skip = (page - 1) * max_samples
    written = write_page(run, file, gold=annotation, other=compare, most=max_samples, skip=skip)
    _print(written)


def _print(written: WrittenPage) -> None:
    from riveg.cli.tables import plain, stdout
    from riveg.cli.visible import counted

    console = stdout()
    lines = [f"{written.path}  {written.size / 1e6:.1f} MB, {counted(written.shown, 'sample')}"]
    if written.shown < written.samples:
        last = written.skipped + written.shown
        which = f"samples {written.skipped + 1} to" if written.skipped else "the first"
        lines.append(
            f"partial: {which} {last} of {written.samples} samples; totals are of all "
            "(--max-samples, --page)"
        )
    for evaluation in written.evaluations:
        scores = evaluation.scores["canonical"].items()
        shown = ", ".join(
            f"{NAMES[name]} {one.f1:.2f}" for name, one in scores if name in NAMES and one
        )
        lines.append(f"{evaluation.predictions}: F1 {shown}")
        if evaluation.without_gold:
            lines.append(f"{counted(evaluation.without_gold, 'sample')} without gold: not judged")
        if evaluation.without_prediction:
            missing = counted(evaluation.without_prediction, "gold sample")
            lines.append(f"{missing} without prediction: counted as missed")
        lines += evaluation.notes
    if written.only_in_second:
        lines.append(f"{counted(written.only_in_second, 'sample')} only in the second run")
    for line in lines:
        console.print(plain(line), soft_wrap=True)
