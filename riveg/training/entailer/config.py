"""``riveg train entailer``: two logistic regressions, pruned, calibrated on dev, described."""

from __future__ import annotations

import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from riveg.errors import UserError
from riveg.geometry.arrays import Floats
from riveg.nn.calibration import PlattCurve
from riveg.nn.entailment_classifier import EntailmentClassifier
from riveg.nn.entailment_features import known_label
from riveg.runs.progress import Progress
from riveg.stages.entailers.mini import CAPTIONED, CAPTIONLESS
from riveg.training.config import Course, TrainingConfig
from riveg.training.data import AnnotatedSplit
from riveg.training.entailer.card import ModelFigures, card_of
from riveg.training.entailer.data import (
    JudgedSample,
    NameCounter,
    Row,
    judged_samples,
    training_rows,
)
from riveg.training.entailer.evidence import EvidenceConfig
from riveg.training.logistic import (
    SparseRows,
    cross_fitted,
    fit_calibration,
    fit_logistic,
)
from riveg.training.reliability import accuracy_interval, measure_reliability

_WORD_GROUPS = frozenset(
    {
        *("mention", "own", "text", "caption", "caption2"),
        *("left", "right", "left2", "right2", "near", "around"),
    }
)
"""Groups of words: many features that are each rare, and therefore have the larger penalty."""


class EntailerTrainingConfig(TrainingConfig):
    """What to train on and how.

    ``data``: with boxes and captions. ``evidence``: what findings in the image weigh.
    ``penalty``, ``word_penalty``: L2 of the weights of groups and of single words. ``least_uses``:
    features and names that occur less often in train are dropped; ``most_features``: how many
    features are kept, by weight times square root of uses.
    """

    name: ClassVar[str] = "entailer"
    summary: ClassVar[str] = "the embedded entailment classifiers (`entail: mini`)"
    packages: ClassVar[tuple[str, ...]] = ("torch",)

    evidence: EvidenceConfig
    penalty: float = Field(default=12.0, gt=0)
    word_penalty: float = Field(default=48.0, gt=0)
    least_uses: int = Field(default=3, ge=1)
    most_features: int = Field(default=14_000, ge=1)
    iterations: int = Field(default=150, ge=1)
    folds: int = Field(default=5, ge=2)
    seed: int = 0

    def train(self, course: Course) -> str:
        """Both models, ``caption.json`` and ``captionless.json``, calibrated on dev.

        Returns:
            The text of their card.

        Raises:
            UserError: If a split lacks captions or one of the two answers.
        """
        train, dev = _read(course.train), _read(course.dev)
        figures = []
        for name, captioned in ((CAPTIONED, True), (CAPTIONLESS, False)):
            model = _fit(self, train, course.progress, captioned=captioned)
            model, found = _calibrate(self, model, dev)
            model.write(course.out / name)
            size_kb = (course.out / name).stat().st_size / 1e3
            figures.append(replace(found, name=name, size_kb=size_kb))
        settings = self.model_dump(mode="json", exclude={*TrainingConfig.model_fields, "evidence"})
        return card_of(settings=settings, figures=figures, train=train, dev=dev)


def _read(split: AnnotatedSplit) -> tuple[JudgedSample, ...]:
    samples = judged_samples(split)
    if {shown for one in samples for shown in one.shown} != {True, False}:
        raise UserError(
            f"{split.name}: training needs entities with boxes and entities without; "
            "`riveg data check` tells what is there"
        )
    if not any(one.sample.caption and one.shown for one in samples):
        raise UserError(
            f"{split.name}: no post with entities has a caption; are the files under `captions` "
            "of the dataset's YAML there?"
        )
    return samples


def _fit(
    config: EntailerTrainingConfig,
    train: Sequence[JudgedSample],
    progress: Progress,
    *,
    captioned: bool,
) -> EntailmentClassifier:
    title = "caption" if captioned else "no caption"
    counter = NameCounter(train, least_uses=config.least_uses)
    rows = _rows(train, counter, progress, f"{title}, features", captioned=captioned)
    uses = Counter(name for row in rows for name in row.features)
    names = sorted(name for name, number in uses.items() if number >= config.least_uses)
    weights = _weights(config, rows, names, progress, f"{title}, all features")
    if len(names) > config.most_features:
        worth = {name: abs(weights[name]) * uses[name] ** 0.5 for name in names}
        names = sorted(sorted(names, key=lambda name: (-worth[name], name))[: config.most_features])
        weights = _weights(config, rows, names, progress, f"{title}, pruned")
    return EntailmentClassifier(
        captioned=captioned,
        weights=_grouped(weights),
        name_counts=counter.counts(),
        slope=1.0,
        intercept=0.0,
        shifts=config.evidence.shifts(captioned=captioned),
        limits=config.evidence.limits(),
    )


def _rows(
    train: Sequence[JudgedSample],
    counter: NameCounter,
    progress: Progress,
    title: str,
    *,
    captioned: bool,
) -> tuple[Row, ...]:
    started = time.monotonic()
    progress.begin(title, len(train))
    rows: list[Row] = []
    for number, one in enumerate(train):
        rows += training_rows(number, one, counter, captioned=captioned)
        progress.advance(1, 0)
    progress.end(time.monotonic() - started)
    return tuple(rows)


def _weights(
    config: EntailerTrainingConfig,
    rows: Sequence[Row],
    names: Sequence[str],
    progress: Progress,
    title: str,
) -> dict[str, float]:
    targets = np.array([row.shown for row in rows], dtype=np.float64)
    penalties = np.array(
        [config.word_penalty if _is_of_words(n) else config.penalty for n in names]
    )
    fitted = fit_logistic(
        _sparse(rows, names),
        targets,
        penalties,
        iterations=config.iterations,
        progress=progress,
        title=title,
    )
    return {name: round(float(weight), 3) for name, weight in zip(names, fitted, strict=True)}


def _is_of_words(name: str) -> bool:
    return name.partition(":")[0].rpartition("/")[2] in _WORD_GROUPS


def _sparse(rows: Sequence[Row], names: Sequence[str]) -> SparseRows:
    columns = {name: number for number, name in enumerate(names)}
    # Arrays that grow: a tuple a cell would take most of the training's time and memory.
    counts, places, values = array("q"), array("q"), array("d")
    for row in rows:
        kept = [name for name in row.features if name in columns]
        counts.append(len(kept))
        places.extend(map(columns.__getitem__, kept))
        values.extend(map(row.features.__getitem__, kept))
    return SparseRows(
        np.repeat(np.arange(len(rows)), np.frombuffer(counts, dtype=np.int64)),
        np.array(places, dtype=np.int64),
        np.array(values, dtype=np.float64),
        (len(rows), len(names)),
    )


def _grouped(weights: Mapping[str, float]) -> dict[str, dict[str, float]]:
    grouped: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for name, weight in weights.items():
        if weight:
            group, _, detail = name.partition(":")
            grouped[group][detail] = weight
    return dict(grouped)


@dataclass(frozen=True, slots=True)
class _Scores:
    """Uncalibrated log-odds, gold answers and sample numbers of the mentions of dev."""

    scores: Floats
    shown: Floats
    samples: tuple[int, ...]


def _calibrate(
    config: EntailerTrainingConfig, model: EntailmentClassifier, dev: Sequence[JudgedSample]
) -> tuple[EntailmentClassifier, ModelFigures]:
    found = _score(model, dev)
    held_out = cross_fitted(
        found.scores, found.shown, found.samples, folds=config.folds, seed=config.seed
    )
    calibration = fit_calibration(found.scores, found.shown)
    said = (held_out, calibration(found.scores), PlattCurve(1.0, 0.0)(found.scores))
    measured = [measure_reliability(one, found.shown) for one in said]
    first, second, third = (accuracy_interval(one, found.shown, found.samples) for one in said)
    figures = ModelFigures(
        name="",
        size_kb=0.0,
        held_out=measured[0],
        shipped=measured[1],
        uncalibrated=measured[2],
        intervals=(first, second, third),
        shifts=model.shifts,
        limits=model.limits,
    )
    rounded = replace(
        model,
        slope=round(calibration.slope, 4),
        intercept=round(calibration.intercept, 4),
    )
    return rounded, figures


def _score(model: EntailmentClassifier, judged: Sequence[JudgedSample]) -> _Scores:
    scored = [
        (model.score(one.sample, entity, known_label(entity.label)), shown, number)
        for number, one in enumerate(judged)
        if one.sample.caption or not model.captioned
        for entity, shown in zip(one.sample.entities or (), one.shown, strict=True)
    ]
    scores, shown, samples = zip(*scored, strict=True)
    return _Scores(np.array(scores), np.array(shown, dtype=np.float64), samples)
