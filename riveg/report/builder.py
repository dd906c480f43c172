"""Writes the page: one HTML file with its style, script, records and small images inside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

from riveg.errors import UserError
from riveg.evaluation.cases import least_detail
from riveg.evaluation.evaluation import Evaluation
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.predictions import predictions_of_run
from riveg.evaluation.scoring import CANONICAL, is_fine
from riveg.evaluation.verdicts import VERDICTS, WRONG_FINE_TYPE
from riveg.files import make_folder, write_atomically
from riveg.images.palette import ink_on, type_colours
from riveg.report.images import SmallCopies
from riveg.report.judging import Judge, Judgement
from riveg.report.pairing import AGREEMENTS, OUTCOMES
from riveg.report.rows import row
from riveg.report.runs import ReportedRun, SampleLookup
from riveg.report.scripts import content_hash, inert_json
from riveg.types import Sample

_FOLDER = Path(__file__).with_name("page")

_SCRIPTS = (
    "model.js",
    "state.js",
    "filter.js",
    "list.js",
    "picture.js",
    "words.js",
    "cards.js",
    "panels.js",
    "page.js",
)
"""In the order in which they stand in the page, as one script."""

_ROWS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class WrittenPage:
    """What was written.

    Args:
        path: The page.
        samples: How many samples the run has.
        shown: How many of them are on the page.
        skipped: How many come before those.
        only_in_second: How many samples only the second run has.
        size: The page's size in bytes.
        evaluations: For each run its scores; ``()`` without gold.
    """

    path: Path
    samples: int
    shown: int
    skipped: int
    only_in_second: int
    size: int
    evaluations: tuple[Evaluation, ...]


def write_page(
    folder: Path,
    out: Path,
    *,
    gold: GoldSet | None = None,
    other: Path | None = None,
    most: int | None = None,
    skip: int = 0,
) -> WrittenPage:
    """Writes the report of a run; memory does not grow with the run.

    Args:
        folder: A finished run.
        out: The page; images are linked relatively to its folder.
        gold: Annotation to judge the run by; without it there are no verdicts.
        other: A second run of the same samples, shown beside the first.
        most: At most so many samples are on the page; totals are always those of the whole run.
        skip: So many samples before them are not.

    Raises:
        UserError: If a folder holds no finished run or no more samples than are skipped, or the
            page cannot be written.
    """
    builder = PageBuilder(folder, out, gold=gold, other=other, most=most, skip=skip)
    make_folder(out.parent)
    write_atomically(out, builder.pieces())
    return builder.written()


class PageBuilder:
    """Makes the page piece by piece; arguments as of :func:`write_page`."""

    def __init__(
        self,
        folder: Path,
        out: Path,
        *,
        gold: GoldSet | None = None,
        other: Path | None = None,
        most: int | None = None,
        skip: int = 0,
    ) -> None:
        self._out, self._gold, self._skip, self._most = out, gold, skip, most
        folders = [path for path in (folder, other) if path is not None]
        self._runs = [ReportedRun.of(path) for path in folders]
        predictions = [predictions_of_run(path) for path in folders]
        # One rule for both runs: words and types alone where one of them predicts no more.
        self._detail = least_detail(one.detail for one in predictions)
        fine = gold is not None and all(is_fine(one, gold) for one in predictions)
        self._judges = [Judge(one, gold, detail=self._detail, fine=fine) for one in predictions]
        self._verdicts = [kind for kind in VERDICTS if fine or kind != WRONG_FINE_TYPE]
        self._lookup = SampleLookup(other) if other is not None else None
        self._roots = tuple(
            dict.fromkeys(root for run in self._runs for root in run.source.image_roots)
        )
        self._labels: set[str] = set()
        self._samples = 0
        self._not_in_second = 0

    def pieces(self) -> Iterator[bytes]:
        """The page from its first byte to its last."""
        style, script = page_style(), page_script()
        before, _, rest = _read("page.html").partition("<!--records-->")
        between, _, after = rest.partition("<!--pictures-->")
        before = before.replace("/*style*/", style).replace("{{policy}}", policy(style, script))
        yield before.encode()
        for rows in _batches(self._rows(), _ROWS_AT_ONCE):
            yield _data(rows, 'class="rows"')
        yield _data(self._summary(), 'id="summary"')
        yield between.replace("/*script*/", script).encode()
        shown = islice(self._records(), self._skip, self._skip + self._shown)
        images = (sample.image for sample in shown)
        for number, image in enumerate(SmallCopies(self._roots).of(images)):
            yield _data(image, f'id="picture-{number}"')
        yield after.encode()

    def written(self) -> WrittenPage:
        """What was written, once :meth:`pieces` is exhausted."""
        return WrittenPage(
            self._out,
            self._samples,
            self._shown,
            self._skip,
            self._lookup.not_read if self._lookup else 0,
            self._out.stat().st_size,
            tuple(self._evaluations),
        )

    @property
    def _evaluations(self) -> list[Evaluation]:
        return [judge.evaluation for judge in self._judges if judge.evaluation is not None]

    @property
    def _shown(self) -> int:
        after = self._samples - self._skip
        return after if self._most is None else min(self._most, after)

    def _records(self) -> Iterator[Sample]:
        return self._runs[0].source.records()

    def _rows(self) -> Iterator[dict[str, Any]]:
        """Rows of the samples that are shown; the other samples are judged too."""
        for number, sample in enumerate(self._records()):
            samples = self._both(sample)
            judgements = self._judged(samples)
            self._samples = number + 1
            self._collect_labels(samples, judgements)
            place = number - self._skip
            if place >= 0 and (self._most is None or place < self._most):
                yield row(samples, judgements, self._roots, self._out)
        if self._samples <= self._skip:
            raise UserError(
                f"{self._runs[0].source.folder}: has {self._samples} samples, none behind the "
                f"first {self._skip}; give a smaller --page"
            )
        if self._lookup is not None and self._samples == self._not_in_second:
            a, b = (run.source.folder for run in self._runs)
            raise UserError(f"{a} and {b} share no sample; compare runs over the same data")

    def _both(self, sample: Sample) -> list[Sample | None]:
        if self._lookup is None:
            return [sample]
        second = self._lookup.get(sample.id)
        self._not_in_second += second is None
        return [sample, second]

    def _judged(self, samples: Sequence[Sample | None]) -> list[Judgement]:
        return [
            Judgement() if sample is None else judge.judge(sample)
            for judge, sample in zip(self._judges, samples, strict=True)
        ]

    def _collect_labels(
        self, samples: Sequence[Sample | None], judgements: Sequence[Judgement]
    ) -> None:
        for sample in samples:
            for entity in (sample.entities if sample else None) or ():
                self._labels |= {entity.label, *(entity.label_scores or ())}
        for judgement in judgements:
            self._labels |= {entity.label for entity in judgement.gold or ()}

    def _summary(self) -> dict[str, Any]:
        gold = self._gold
        colours = type_colours(self._labels)
        return {
            "runs": [run.summary() for run in self._runs],
            "gold": gold and {"name": gold.name, "version": gold.version, "split": gold.split},
            "protocol": "canonical" if gold else None,
            "places": self._detail != "tags" and (gold is None or gold.has_boxes),
            "metrics": _metrics(self._evaluations),
            "notes": [list(one.notes) for one in self._evaluations],
            "withoutGold": [one.without_gold for one in self._evaluations],
            "withoutPrediction": [one.without_prediction for one in self._evaluations],
            "scored": [one.samples for one in self._evaluations],
            "verdicts": [dict(judge.kinds) for judge in self._judges] if gold else None,
            "verdictOrder": self._verdicts,
            "outcomeOrder": [*(OUTCOMES if gold else AGREEMENTS)] if self._lookup else [],
            "colours": {label: [hue, ink_on(hue)] for label, hue in colours.items()},
            "samples": self._samples,
            "shown": self._shown,
            "skipped": self._skip,
            "notInSecond": self._not_in_second,
            "onlyInSecond": self._lookup.not_read if self._lookup else 0,
        }


def _metrics(evaluations: Sequence[Evaluation]) -> dict[str, list[dict[str, Any] | None]]:
    """By metric, the scores of each run; ``None`` where a run does not have the metric."""
    scores = [one.scores[CANONICAL] for one in evaluations]
    table = {
        name: [each.get(name) for each in scores]
        for name in dict.fromkeys(chain.from_iterable(scores))
    }
    return {
        name: [None if one is None else asdict(one) for one in found]
        for name, found in table.items()
        if any(found)
    }


def _batches(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    waiting = iter(values)
    while batch := list(islice(waiting, size)):
        yield batch


def _data(value: object, attribute: str) -> bytes:
    return f'<script type="application/json" {attribute}>{inert_json(value)}</script>\n'.encode()


def policy(style: str, script: str) -> str:
    """What the page may do: run its own script and style, show images, and nothing else."""
    return (
        f"default-src 'none'; script-src {content_hash(script)}; style-src {content_hash(style)}; "
        "img-src data: 'self' file:; connect-src 'none'; base-uri 'none'; form-action 'none'"
    )


@cache
def page_style() -> str:
    """The page's style sheet."""
    return _read("page.css")


@cache
def page_script() -> str:
    """The page's scripts as one."""
    parts = "\n".join(_read(name) for name in _SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
