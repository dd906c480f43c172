"""``riveg calibrate``: thresholds tuned on dev, as a file that a run loads by name."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from riveg.cli.places import opened
from riveg.cli.visible import counted, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from riveg.evaluation.calibration import Estimate
    from riveg.evaluation.calibration_file import Found
    from riveg.evaluation.gold import GoldSet
    from riveg.evaluation.review_calibration import ReviewCalibration


def calibrate(
    folder: Path = typer.Argument(metavar="RUN", help="A finished run over dev.", callback=opened),
    gold: str = typer.Option(metavar="DEV", help="The dataset that was run, with its gold."),
    split: str | None = typer.Option(None, help="Split of the gold (default: the run's)."),
    metric: Literal["gmner", "mner"] = typer.Option(
        "gmner",
        help="gmner: the thresholds of entail and ground; mner: tag.threshold.",
    ),
    review: bool = typer.Option(
        False, "--review", help="Tune the gates of review, for either metric."
    ),
    out: Path | None = typer.Option(None, help="The file (default: artifacts/NAME.json)."),
    name: str | None = typer.Option(
        None, help="Name to load it by (default: SYSTEM-DATA-SPLIT[-mner][-review], or --out's)."
    ),
    plot: bool | None = typer.Option(
        None,
        "--plot/--no-plot",
        help="Draw F1 against the thresholds, beside the file (default: where matplotlib is).",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print what the file holds."),
) -> None:
    """Tune thresholds for F1 on dev. `--set entail.threshold=@NAME` loads them."""
    import json

    from riveg.datasets.opening import open_dataset
    from riveg.errors import UserError
    from riveg.evaluation.calibration_file import artifact_content, write_artifact
    from riveg.evaluation.calibration_plot import draw
    from riveg.evaluation.calibration_run import refuse_test
    from riveg.evaluation.gold import read_gold
    from riveg.evaluation.review_calibration import ReviewCalibration
    from riveg.formats.run_records import finished_manifest

    if review and plot:
        raise UserError("--plot: no curve is drawn of the gates of a review")
    draws = not review and plot is not False and _can_draw(must=bool(plot))
    manifest = finished_manifest(folder)
    dataset = open_dataset(gold, split=split)
    if split is None and manifest.get("split") in dataset.splits:
        dataset = open_dataset(gold, split=manifest["split"])
    refuse_test(folder, dataset)
    if name is None:
        of_metric = None if metric == "gmner" else metric
        kind = "review" if review else None
        words = dict.fromkeys((manifest["system"], dataset.name, dataset.split, of_metric, kind))
        name = out.stem if out else "-".join(word for word in words if word)
    if Path(name).name != name or not name.isprintable():
        raise UserError(f"--name {name!r}: expected a name for a file, without a slash")
    if out is not None and out.suffix != ".json":
        raise UserError(f"--out {out}: expected the name of a .json file")
    path = out or Path("artifacts") / f"{name}.json"
    annotation = read_gold(dataset)
    found, advice = _calibrated(folder, annotation, metric, review=review)
    content = artifact_content(folder, name, annotation, found)
    write_artifact(path, content)
    image = path.with_suffix(".png") if draws else None
    if image and not isinstance(found, ReviewCalibration):
        data = dict.fromkeys(word for word in (dataset.name, dataset.split) if word)
        draw(image, found, f"{manifest['system']} on {' '.join(data)}")
    if as_json:
        typer.echo(json.dumps(content, indent=1))
        return
    _print_report(found, metric.upper(), manifest.get("limit"), advice)
    _print_files(found, path, image, name if path == Path("artifacts") / f"{name}.json" else None)


def _calibrated(
    folder: Path, gold: GoldSet, metric: str, *, review: bool
) -> tuple[Found, str | None]:
    """The calibration for a metric, and the run that would show the outcome of more thresholds."""
    from riveg.evaluation.calibration import calibrate as calibrate_run
    from riveg.evaluation.calibration import rerun_advice
    from riveg.evaluation.review_calibration import calibrate_review, review_rerun_advice
    from riveg.evaluation.tag_calibration import calibrate_tagger, tag_rerun_advice

    if review:
        of_gates = calibrate_review(folder, gold, metric)
        return of_gates, review_rerun_advice(folder, of_gates)
    if metric == "mner":
        of_tags = calibrate_tagger(folder, gold)
        return of_tags, tag_rerun_advice(folder, of_tags)
    found = calibrate_run(folder, gold)
    return found, rerun_advice(folder, found)


def _can_draw(*, must: bool) -> bool:
    """Whether the curve can be drawn; if not, says so, or raises what is missing if it must be."""
    from riveg.errors import MissingExtra
    from riveg.evaluation.calibration_plot import require_plot

    try:
        require_plot()
    except MissingExtra as error:
        if must:
            raise
        typer.echo(visible(f"no curve: {error}"), err=True)
        return False
    return True


def _print_report(found: Found, metric: str, limit: int | None, advice: str | None) -> None:
    from riveg.cli.tables import plain, stdout
    from riveg.evaluation.review_calibration import ReviewCalibration

    console = stdout()
    partial = f" (partial: --limit {limit})" if limit else ""
    console.print(f"canonical {metric} over {counted(found.samples, 'sample')}{partial}")
    console.print(_threshold_table(found))
    console.print(_score_table(found, metric))
    if isinstance(found, ReviewCalibration):
        console.print(_share_table(found))
    gain = found.after.count.f1 - found.before.count.f1
    ends = f"{found.gain.low:+.2f} to {found.gain.high:+.2f}"
    console.print(f"gain {gain:+.2f} on what it was tuned on ({ends})")
    for line in _notes(found):
        console.print(plain(f"note: {line}"), soft_wrap=True)
    if advice:
        console.print("note: not every threshold is in the records; this run tells the rest:")
        console.print(plain(f"  {advice}"), soft_wrap=True)


def _threshold_table(found: Found) -> Table:
    from riveg.cli.tables import bare_table

    table = bare_table()
    table.add_column("threshold")
    for name in ("run's own", "chosen", "as good from", "to", "searched from"):
        table.add_column(name, justify="right")
    for key, tuned in found.thresholds.items():
        values = (tuned.own, tuned.chosen.value, tuned.chosen.low, tuned.chosen.high, tuned.floor)
        table.add_row(key, *(f"{value:.6g}" for value in values))
    return table


def _share_table(found: ReviewCalibration) -> Table:
    """How many of the entities are asked about."""
    from riveg.cli.tables import bare_table

    table = bare_table()
    table.add_column("entities asked about")
    for name in ("run's own, %", "chosen, %"):
        table.add_column(name, justify="right")
    for kind, share in found.shares.items():
        table.add_row(kind, f"{found.shares_of_run[kind]:.1f}", f"{share:.1f}")
    return table


def _score_table(found: Found, metric: str) -> Table:
    from riveg.cli.tables import bare_table
    from riveg.evaluation.review_calibration import ReviewCalibration

    table = bare_table()
    table.add_column(metric)
    for name in ("P", "R", "F1", "95 %", "hits"):
        table.add_column(name, justify="right")
    is_review = isinstance(found, ReviewCalibration)
    rows: list[tuple[str, Estimate | None]] = [
        ("no review" if is_review else "run's own", found.before),
        ("run's own", found.everything if isinstance(found, ReviewCalibration) else None),
        ("chosen", found.after),
        (f"chosen, {found.folds}-fold", found.cross_validated),
    ]
    for name, estimate in rows:
        if estimate is not None:
            count = estimate.count
            cells = (f"{count.precision:.2f}", f"{count.recall:.2f}", f"{count.f1:.2f}")
            ends = f"{estimate.f1.low:.2f} to {estimate.f1.high:.2f}"
            table.add_row(name, *cells, ends, str(count.hits))
    return table


def _notes(found: Found) -> list[str]:
    from riveg.evaluation.review_calibration import ReviewCalibration
    from riveg.evaluation.tag_calibration import TagCalibration

    lines = [*found.outcomes.notes]
    left_out = [(found.outcomes.without_gold, "sample of the run without gold was left out")]
    if isinstance(found, ReviewCalibration):
        if found.entangled:
            lines.append(
                f"in {counted(found.entangled, 'post')} a look was at what an earlier one had "
                "changed and the chosen gates do not; it may answer otherwise: run it"
            )
        return lines + [f"{number} times: {what}" for number, what in left_out if number]
    if isinstance(found, TagCalibration):
        left_out.append((found.outcomes.without_score, "entity without a score is never dropped"))
    else:
        if found.rearranged:
            lines.append(
                f"in {counted(found.rearranged, 'post')} other entities pass the gate than in the "
                "run; a grounder that shares regions out among them may place the rest elsewhere: "
                "run it"
            )
        left_out += [
            (found.outcomes.without_probability, "entity without a probability stays as it is"),
            (found.outcomes.without_score, "region without a score is never dropped"),
        ]
    return lines + [f"{number} times: {what}" for number, what in left_out if number]


def _print_files(found: Found, path: Path, image: Path | None, name: str | None) -> None:
    from riveg.cli.tables import plain, stdout

    console: Console = stdout()
    console.print(plain(f"written  {path}"), soft_wrap=True)
    if image:
        console.print(plain(f"curve    {image}"), soft_wrap=True)
    sets = " ".join(f"--set {shlex.quote(f'{key}=@{name or path}')}" for key in found.thresholds)
    console.print(plain(f"use it   {sets}"), soft_wrap=True)
