"""The entailer's model card: data, figures, reliability, limits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from riveg.evaluation.bootstrap import RESAMPLES, Interval
from riveg.nn.entailment_classifier import Limit, Shift
from riveg.training.entailer.data import JudgedSample
from riveg.training.entailer.sightings import (
    MEASURED,
    Found,
    SizeBand,
    derive_log_odds,
    most_missed,
    unseen_somebody,
)
from riveg.training.reliability import Reliability


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """Figures of one model on dev.

    ``held_out``: each fold calibrated on the others; ``shipped``: calibrated on all of dev, so the
    figures are too good; ``uncalibrated``: before calibration. ``intervals``: of the accuracies of
    these three. ``shifts``, ``limits``: its image evidence.
    """

    name: str
    size_kb: float
    held_out: Reliability
    shipped: Reliability
    uncalibrated: Reliability
    intervals: tuple[Interval, Interval, Interval]
    shifts: Mapping[str, Shift]
    limits: Mapping[str, Limit]


def card_of(
    *,
    settings: Mapping[str, Any],
    figures: Sequence[ModelFigures],
    train: Sequence[JudgedSample],
    dev: Sequence[JudgedSample],
) -> str:
    """The text of the card, Markdown."""
    lines = [*_opening(train, dev), *_table(figures, _accuracy_by_type(train, dev))]
    for one in figures:
        lines += _bins(one)
    lines += [*_evidence(figures), *_limits(settings)]
    return "\n".join(lines) + "\n"


def _opening(train: Sequence[JudgedSample], dev: Sequence[JudgedSample]) -> Iterator[str]:
    yield "# Entailer: does the picture show the entity?"
    yield ""
    yield "Two logistic regressions over named features of a mention: type, words, company, place,"
    yield "fame; `caption.json` reads a caption too."
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
    yield f"The type alone would be right for {type_alone:.4f} of them. 95 % of the accuracy, in"
    yield f"percent: by bootstrap over posts, {RESAMPLES} resamples."
    yield ""
    yield (
        "| model | figures | entities | accuracy | Brier | calibration error (10 bins) | 95 % of "
        "the accuracy | kB |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for one in figures:
        kinds = (
            ("held out", one.held_out),
            ("shipped", one.shipped),
            ("uncalibrated", one.uncalibrated),
        )
        for (kind, found), interval in zip(kinds, one.intervals, strict=True):
            yield (
                f"| {one.name} | {kind} | {found.count} | {found.accuracy:.4f} | "
                f"{found.brier:.4f} | {found.calibration_error:.4f} | {interval} | "
                f"{one.size_kb:.0f} |"
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
    yield "## Picture evidence"
    yield ""
    yield "People, things and lettering were not trained: no pictures of the data were at hand."
    yield "They shift the log-odds by the numbers below, and two of them bound P; none of the"
    yield "figures above contains them."
    yield ""
    yield "| model | finding | log-odds | reason |"
    yield "|---|---|---|---|"
    for one in figures:
        for finding, shift in one.shifts.items():
            yield f"| {one.name} | {finding} | {shift.log_odds:+g} | {shift.reason} |"
    yield ""
    yield "| model | finding | bound | reason |"
    yield "|---|---|---|---|"
    for one in figures:
        for finding, limit in one.limits.items():
            yield f"| {one.name} | {finding} | {limit.probability:g} | {limit.reason} |"
    yield ""
    yield from _derivation()


_DERIVATION = """### Where the shipped numbers are from

`python benchmarks/sightings.py COCO --quoting QUOTING` counts with the shipped observer on 64
photographs of COCO val2017 and on the train split of Twitter-GMNER v2.0; QUOTING is the same set
with RiVEG's mPLUG-Owl captions, that quote what is written in a picture. `derive_log_odds` in
`riveg/training/entailer/sightings.py` is the arithmetic. Rates are (hits + 1) / (cases + 2).
A finding weighs log(its rate where the named person is shown / its rate where not). Captions take
their share off: 1 - spread of captions / spread of detectors.

| person fills | boxes of persons | photographs with anybody found | of these, with a face |
|---|---|---|---|""".splitlines()

_READING = """To read them rightly:

- *Nobody* means that neither network found anybody. The person network alone finds 41 of 47
  people of at least 5 % (IoU >= 0.5), but in each of the 26 photographs with such a person somebody
  was found.
- Somebody else is counted by boxes (23 %). By captions it would be more: they speak of people in
  52 % of the posts whose named person has no box, often people whom the annotators could not tell.
  With that count somebody in the picture would weigh less. It is not used, since a reader takes
  the one person in a picture for the one who is named.
- Photographs of COCO are not tweets: drawings, posters and screens are found less well.

### The bound where nobody is seen

A person who is shown is somebody who is there. So where nobody is seen

    P(shown | nobody seen) <= P(somebody there | nobody seen) = S M / (S M + (1 - S) (1 - F))

S is the share of named persons in whose picture anybody is (with a box, or somebody else with one),
F the rate of false alarms, M the highest rate of misses that the photographs allow at 95 %. The
bound is used for every text: a text may tell who is there, but no text makes a detector miss
more. (A text can also make it likelier that anybody is there. That is left out, on purpose: where
nothing is seen there is nothing to point at.)
""".splitlines()

_LETTERING = """
### Names that are written

A name in a quote of up to eight words of a long caption stands in a title, a sign or a logo; in a
longer quote it stands in running text. OCR text is treated so by the line. Only names of at least
four letters are counted, once a post. A weight is log(odds of a box / usual odds of the types).

- Chance says nothing here: OCR text of the 64 photographs spells 2 of 20 801 pairs of such a
  picture and a name of dev. What limits the weight is that written names often have no box.
- The bound 'at least' is the share itself, whatever the text says: text moves P up from there only.
- Places: 3 of 19 such names in train have a box. They have no bound, and their weight is rather
  too high.
- Persons: their boxes are of people, not of letters. 0.7 % of their 3 684 boxes are at least
  three times as wide as high, 7.5 % of those of organizations, 10.5 % of those of
  things. So a person's name has a small weight and no bound.
- *Name alone* (read, and nobody seen) is a choice: by the counts it would be a no. A reader of a
  shirt or a bill points at the name, and so does the grounder; the posts that ship with riveg are
  annotated so. The text decides: where a caption is read, a book's author stays below 0.5.
- A captioner misreads and leaves out. What it quotes is prominent, as what OCR text reads at this
  size is; small letters say less.
""".splitlines()


def _derivation() -> Iterator[str]:
    """Where the shipped numbers of people and things are from, with all counts."""
    yield from _DERIVATION
    yield _band_row("2 to 5 %", MEASURED.small)
    yield _band_row("5 to 15 %", MEASURED.middle)
    yield _band_row("more", MEASURED.large)
    yield ""
    yield "| count | hits | cases | rate |"
    yield "|---|---|---|---|"
    for name, found in (
        ("photographs with people of any size: anybody found", MEASURED.peopled),
        ("of these, with a face", MEASURED.peopled_faces),
        ("photographs without people: anybody found", MEASURED.empty),
        ("persons without a box: another person of the post has one", MEASURED.beside),
        ("persons with a box: the caption speaks of people", MEASURED.captions_shown),
        ("persons without a box: the caption speaks of people", MEASURED.captions_unshown),
        ("things of at least 2 %: the class was found", MEASURED.things),
        ("classes that a photograph lacks: found all the same", MEASURED.no_things),
        ("persons: with a box", MEASURED.persons),
        ("organizations and things: with a box", MEASURED.named),
        ("those in a quote of up to eight words: with a box", MEASURED.quoted),
        ("those in longer quotes only: with a box", MEASURED.long_quoted),
        ("persons in a quote of up to eight words: with a box", MEASURED.quoted_persons),
    ):
        yield f"| {name} | {found.hits} | {found.cases} | {found.rate:.4f} |"
    yield ""
    derived = derive_log_odds(MEASURED)
    yield "| face | person | nobody | thing | no thing | captioned |"
    yield "|---|---|---|---|---|---|"
    yield (
        f"| {derived.face:+g} | {derived.person:+g} | {derived.nobody:+g} | {derived.thing:+g} "
        f"| {derived.no_thing:+g} | {derived.captioned:g} |"
    )
    yield ""
    yield "If a shown person were found at a rate of 0.8 or 0.9 instead of the derived one, nobody"
    yield f"would weigh {_nobody(0.8):+.2f} or {_nobody(0.9):+.2f}."
    yield from _READING
    yield ""
    missed = most_missed(MEASURED)
    bound = unseen_somebody(MEASURED, missed)
    yield f"M is {missed:.3f}, the bound {bound:.3f}, rounded up. With M of 0.1, 0.13"
    yield "(what the person network alone misses of people of at least 5 %) and 0.2 it would be"
    yield ", ".join(f"{unseen_somebody(MEASURED, one):.2f}" for one in (0.1, 0.13, 0.2)) + "."
    yield from _LETTERING
    yield ""
    yield "| lettering | long lettering | lettering of persons | at least |"
    yield "|---|---|---|---|"
    yield (
        f"| {derived.lettering:+g} | {derived.long_lettering:+g} | {derived.person_lettering:+g} "
        f"| {derived.lettering_least:g} |"
    )
    yield ""


def _band_row(size: str, band: SizeBand) -> str:
    return f"| {size} | {band.boxes} | {_of(band.found)} | {_of(band.faces)} |"


def _of(found: Found) -> str:
    return f"{found.hits} of {found.cases}"


def _nobody(recall: float) -> float:
    """What nobody to be seen would weigh if a shown person were found at this rate."""
    other = MEASURED.beside.rate
    missing = other * (1 - MEASURED.peopled.rate) + (1 - other) * (1 - MEASURED.empty.rate)
    return math.log((1 - recall) / missing)


def _limits(settings: Mapping[str, Any]) -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield "Labels other than PER, ORG, LOC and OTHER are folded into these. Spans that a"
    yield "tagger got wrong were not seen in training. Names are those of English tweets of 2014 to"
    yield "2017. Settings and features were chosen by looking at dev, so its figures flatter a bit."
    yield ""
    yield "Settings: " + ", ".join(f"{name} {value}" for name, value in settings.items())
