"""The entailer's model card: data, figures, reliability, limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riveg.nn.entailment_classifier import Shift
from riveg.training.entailer_data import JudgedSample
from riveg.training.reliability import Reliability


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """Figures of one model on dev.

    ``held_out``: each fold calibrated on the others; ``shipped``: calibrated on all of dev, so the
    figures are too good; ``uncalibrated``: before calibration. ``shifts``: its image evidence.
    """

    name: str
    size_kb: float
    held_out: Reliability
    shipped: Reliability
    uncalibrated: Reliability
    shifts: Mapping[str, Shift]


def write_card(
    path: Path,
    *,
    data: str,
    settings: Mapping[str, Any],
    figures: Sequence[ModelFigures],
    train: Sequence[JudgedSample],
    dev: Sequence[JudgedSample],
) -> None:
    """Writes the card as Markdown."""
    lines = [*_opening(data, train, dev), *_table(figures, _accuracy_by_type(train, dev))]
    for one in figures:
        lines += _bins(one)
    lines += [*_evidence(figures), *_limits(settings)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _opening(
    data: str, train: Sequence[JudgedSample], dev: Sequence[JudgedSample]
) -> Iterator[str]:
    yield "# Entailer: does the picture show the entity?"
    yield ""
    yield "Two logistic regressions over named features of a mention: type, words, company, place,"
    yield "fame; `caption.json` reads a caption too. Made by `riveg train entailer`."
    yield ""
    yield f"Data: {data}."
    yield ""
    yield "| split | posts | with a caption | entities | with a box |"
    yield "|---|---|---|---|---|"
    for name, judged in (("train", train), ("dev", dev)):
        answers = [shown for one in judged for shown in one.shown]
        captions = sum(bool(one.sample.caption) for one in judged)
        yield f"| {name} | {len(judged)} | {captions} | {len(answers)} | {sum(answers)} |"
    yield ""


def _accuracy_by_type(train: Sequence[JudgedSample], dev: Sequence[JudgedSample]) -> float:
    """Accuracy on dev of each type's more frequent answer in train."""
    seen = Counter(_answers(train))
    answers = Counter(_answers(dev))
    right = sum(
        number
        for (label, shown), number in answers.items()
        if shown == (seen[label, True] > seen[label, False])
    )
    return right / sum(answers.values())


def _answers(judged: Sequence[JudgedSample]) -> Iterator[tuple[str, bool]]:
    for one in judged:
        for entity, shown in zip(one.sample.entities or (), one.shown, strict=True):
            yield entity.label, shown


def _table(figures: Sequence[ModelFigures], type_alone: float) -> Iterator[str]:
    yield "On dev, gold spans and types, threshold 0.5, no picture evidence. *Held out*: calibrated"
    yield "on the other folds (whole posts). *Shipped*: calibrated on all of dev, as in the file."
    yield f"The type alone would be right for {type_alone:.4f} of them."
    yield ""
    yield "| model | figures | entities | accuracy | Brier | calibration error (10 bins) | kB |"
    yield "|---|---|---|---|---|---|---|"
    for one in figures:
        for kind, found in (
            ("held out", one.held_out),
            ("shipped", one.shipped),
            ("uncalibrated", one.uncalibrated),
        ):
            yield (
                f"| {one.name} | {kind} | {found.count} | {found.accuracy:.4f} | "
                f"{found.brier:.4f} | {found.calibration_error:.4f} | {one.size_kb:.0f} |"
            )
    yield ""


def _bins(figures: ModelFigures) -> Iterator[str]:
    yield f"Reliability of `{figures.name}`, held out:"
    yield ""
    yield "| probability | entities | mean said | share shown |"
    yield "|---|---|---|---|"
    for one in figures.held_out.bins:
        yield f"| {one.low:.1f}-{one.high:.1f} | {one.count} | {one.mean:.3f} | {one.shown:.3f} |"
    yield ""


def _evidence(figures: Sequence[ModelFigures]) -> Iterator[str]:
    yield "Picture evidence (faces, people, lettering) was not trained: no pictures were at hand."
    yield "It shifts the log-odds by the numbers below, which are set by judgement from plausible"
    yield "detection rates and are not measured; none of the figures above contains them."
    yield ""
    yield "| model | finding | log-odds | reason |"
    yield "|---|---|---|---|"
    for one in figures:
        for finding, shift in one.shifts.items():
            yield f"| {one.name} | {finding} | {shift.log_odds:+g} | {shift.reason} |"
    yield ""


def _limits(settings: Mapping[str, Any]) -> Iterator[str]:
    yield "Labels other than PER, ORG, LOC and OTHER are folded into these. Spans that a"
    yield "tagger got wrong were not seen in training. Names are those of English tweets of 2014 to"
    yield "2017. Settings and features were chosen by looking at dev, so its figures flatter a bit."
    yield ""
    yield "Settings: " + ", ".join(f"{name} {value}" for name, value in settings.items())
