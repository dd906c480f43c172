"""``riveg eval``: scores of a run, or of another system's output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from riveg.cli.numbers import MOST_RESAMPLES, finite
from riveg.cli.places import opened

if TYPE_CHECKING:
    from riveg.evaluation.canonical import Rules
    from riveg.evaluation.evaluation import Evaluation
    from riveg.evaluation.gold import GoldSet
    from riveg.evaluation.predictions import Predictions

PREDICTIONS = typer.Argument(
    help="A run folder, a records file, an smner export, or another system's output.",
    callback=opened,
)


def evaluate(
    predictions: Path = PREDICTIONS,
    gold: str | None = typer.Option(
        None, help="A dataset, or the gold file of RiVEG, UnCo or SAKE (default: the run's own)."
    ),
    split: str | None = typer.Option(None, help="Split of the gold (default: the run's)."),
    format: str = typer.Option(
        "auto", help="auto, run, jsonl, smner, riveg, e2e, sake, tiger or conll."
    ),
    scheme: str | None = typer.Option(
        None, help="Tag scheme of a CoNLL file, such as bioes (default: recognised)."
    ),
    boxes: Path | None = typer.Option(None, help="Boxes beside RiVEG's text file (its json)."),
    proposals: Path | None = typer.Option(
        None, help="Folder of VinVL features, for protocols that score by candidate box."
    ),
    protocol: list[str] = typer.Option(
        [],
        help="canonical, riveg, h-index, tiger, tiger-inloop, e2e, sysu-unco, sysu-sake, or all; "
        "may be repeated.",
    ),
    iou: float = typer.Option(
        0.5, min=0.0, max=1.0, callback=finite, help="Least overlap of boxes."
    ),
    mask_iou: float = typer.Option(
        0.5, min=0.0, max=1.0, callback=finite, help="Least overlap of masks."
    ),
    strict: bool = typer.Option(False, help="Overlap must exceed the bound, not only reach it."),
    masks: str = typer.Option("any", help="any of the gold masks, or their union."),
    budget: bool = typer.Option(False, "--budget", help="Say where the points were lost."),
    average_precision: bool = typer.Option(
        False, "--average-precision", help="Add COCO's AP and AR of boxes and masks."
    ),
    slices: bool = typer.Option(
        False, "--slices", help="Add scores by what is in the picture, seen mentions, crowding."
    ),
    seen_in: str | None = typer.Option(
        None, help="The split or data whose mentions are seen (default: train); adds --slices."
    ),
    why: str | None = typer.Option(None, metavar="ID", help="Explain this sample's verdicts."),
    resamples: int = typer.Option(1000, min=10, max=MOST_RESAMPLES, help="Bootstrap resamples."),
    json_file: str | None = typer.Option(
        None, "--json", metavar="FILE", help="Write everything as JSON; - prints it instead."
    ),
    markdown: Path | None = typer.Option(None, help="Write the tables as Markdown."),
) -> None:
    """Score predictions. MNER, EEG, GMNER and SMNER, under one protocol or several."""
    from riveg.evaluation.canonical import Rules
    from riveg.evaluation.evaluate import EvaluationOptions
    from riveg.evaluation.evaluate import evaluate as score
    from riveg.evaluation.reading import (
        open_gold,
        open_predictions,
        protocols_named,
        seen_mentions,
    )

    opened = open_predictions(predictions, format=format, boxes=boxes, scheme=scheme)
    annotation = open_gold(gold, opened, split=split, proposals=proposals)
    protocols = protocols_named(protocol)
    rules = Rules(iou, strict, mask_iou, _masks(masks))
    if why is not None:
        _explain(opened, annotation, why, protocols, rules)
        return
    slices = slices or seen_in is not None
    seen = seen_mentions(gold, opened, seen_in) if slices else None
    options = EvaluationOptions(
        protocols, rules, budget, average_precision, slices, seen, resamples
    )
    evaluation = score(opened, annotation, options)
    if json_file is not None:
        _write_json(evaluation, json_file)
    if markdown is not None:
        _write_markdown(evaluation, markdown)
    if json_file != "-":
        _print(evaluation)
        if budget and opened.format == "run":
            _print_reruns(predictions)


def _masks(choice: str) -> Literal["any", "union"]:
    from riveg.errors import UserError

    if choice == "any":
        return "any"
    if choice == "union":
        return "union"
    raise UserError(f"--masks {choice}: expected any or union")


def _write_json(evaluation: Evaluation, target: str) -> None:
    from riveg.cli.json_output import write_json

    write_json(evaluation, target)


def _write_markdown(evaluation: Evaluation, target: Path) -> None:
    from riveg.cli.evaluation_sheets import head_lines, sheets
    from riveg.cli.visible import visible
    from riveg.files import make_folder, write_atomically

    head = "".join(f"    {visible(line)}\n" for line in head_lines(evaluation))
    tables = "\n".join(sheet.markdown() for sheet in sheets(evaluation))
    make_folder(target.parent)
    write_atomically(target, [f"{head}\n{tables}".encode()])


def _print(evaluation: Evaluation) -> None:
    from riveg.cli.evaluation_sheets import HEADING, head_lines, sheets
    from riveg.cli.tables import plain, print_hanging, stdout

    console = stdout()
    for line in head_lines(evaluation):
        if line.startswith("from"):  # A path stays in one piece, to be copied.
            console.print(plain(line), soft_wrap=True)
        else:
            print_hanging(console, line, HEADING)
    for sheet in sheets(evaluation):
        sheet.print()


def _print_reruns(folder: Path) -> None:
    from riveg.cli.tables import plain, stdout
    from riveg.evaluation.budget import gold_reruns

    console = stdout()
    console.print("\nwhat the later stages make of a perfect earlier one, only a run can tell:")
    for command in gold_reruns(folder):
        console.print(plain(f"  {command}"), soft_wrap=True)


def _explain(
    predictions: Predictions,
    gold: GoldSet,
    sample_id: str,
    protocols: tuple[str, ...],
    rules: Rules,
) -> None:
    from riveg.cli.explanation import print_explanation
    from riveg.evaluation.evaluate import explain

    print_explanation(explain(predictions, gold, sample_id, protocols, rules))
