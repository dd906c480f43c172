"""A logistic regression over named features that says whether an image shows an entity."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from riveg.errors import UserError
from riveg.files import write_atomically
from riveg.formats.json_files import checked, read_json
from riveg.nn.entailment_features import LABELS, NameCounts, known_label, mention_features
from riveg.nn.image_evidence import (
    BOUNDS,
    LONG_OCR_TEXT,
    NAME_ALONE,
    NO_THING,
    OCR_TEXT,
    PERSON_OCR_TEXT,
    SHIFTS,
    THING,
    Bounds,
)
from riveg.types import Entity, Sample

FORMAT = 1
"""Version of the model file."""

Weights = Mapping[str, Mapping[str, float]]
"""Weights by group and detail: a feature ``group:detail`` is split at its first colon."""


@dataclass(frozen=True, slots=True)
class Shift:
    """What a finding in the image adds to the log-odds, and why that much."""

    log_odds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Limit:
    """P beyond which no text moves the answer after a finding in the image, and why there."""

    probability: float
    reason: str


@dataclass(frozen=True, slots=True)
class EntailmentClassifier:
    """Weights, the counts of train's names, Platt's calibration, and what image evidence weighs.

    ``captioned`` says whether the model wants a caption. ``limits``: by finding; a model made
    before there were any has none.
    """

    captioned: bool
    weights: Weights
    name_counts: NameCounts
    slope: float
    intercept: float
    shifts: Mapping[str, Shift]
    limits: Mapping[str, Limit] = field(default_factory=dict)

    def probability(
        self,
        sample: Sample,
        entity: Entity,
        shifts: Mapping[str, float] | None = None,
        bounds: Mapping[str, Bounds] | None = None,
    ) -> float:
        """P(the image shows the entity) in (0, 1), over the entity's label distribution.

        Bounds hold for each label, and those of the entity's own label for the whole.

        Args:
            sample: The sample.
            entity: One of its entities.
            shifts: Log-odds to add by label, from what was found in the image.
            bounds: Bounds by label, from the same.
        """
        found, total = bounds or {}, 0.0
        for label, share in _label_shares(entity).items():
            score = self.slope * self.score(sample, entity, label) + self.intercept
            probability = sigmoid(score + (shifts or {}).get(label, 0.0))
            total += share * found.get(label, Bounds()).apply(probability)
        return found.get(known_label(entity.label), Bounds()).apply(total)

    def score(self, sample: Sample, entity: Entity, label: str) -> float:
        """The uncalibrated log-odds of the entity taken as a ``label``."""
        features = mention_features(
            sample, entity, label, self.name_counts, captioned=self.captioned
        )
        return math.fsum(value * self._weight(name) for name, value in features.items())

    def _weight(self, name: str) -> float:
        group, _, detail = name.partition(":")
        return self.weights.get(group, {}).get(detail, 0.0)

    def write(self, path: Path) -> None:
        """Writes the model as JSON, keys sorted."""
        content = {
            "format": FORMAT,
            "captioned": self.captioned,
            "calibration": {"slope": self.slope, "intercept": self.intercept},
            "shifts": {
                name: {"log_odds": shift.log_odds, "reason": shift.reason}
                for name, shift in self.shifts.items()
            },
            "limits": {
                name: {"probability": limit.probability, "reason": limit.reason}
                for name, limit in self.limits.items()
            },
            "fame": {
                "rates": self.name_counts.rates,
                "mentions": self.name_counts.mentions,
                "words": self.name_counts.words,
            },
            "weights": self.weights,
        }
        text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        write_atomically(path, [text.encode() + b"\n"])


class _Checked(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)


class _Names(_Checked):
    rates: dict[str, float]
    mentions: dict[str, tuple[int, int]]
    words: dict[str, tuple[int, int]]


class _Calibration(_Checked):
    slope: float
    intercept: float


class _File(_Checked):
    captioned: bool
    calibration: _Calibration
    shifts: dict[str, Shift]
    limits: dict[str, Limit] = {}
    fame: _Names
    weights: dict[str, dict[str, float]]


def read_classifier(path: Path) -> EntailmentClassifier:
    """Reads a model that :meth:`EntailmentClassifier.write` has written.

    Raises:
        UserError: If the file is missing, is no such model, or is of another version.
    """
    try:
        content = read_json(path)
        found = content["format"]
        if type(found) is not int or found != FORMAT:
            raise UserError(
                f"{path}: entailment model of format {found!r:.40}, this riveg reads "
                f"{FORMAT}; make it anew with `riveg train entailer`"
            )
        model = checked(
            _File, content, f"{path}: not an entailment model; make one with `riveg train entailer`"
        )
        return EntailmentClassifier(
            captioned=model.captioned,
            weights=model.weights,
            name_counts=NameCounts(model.fame.mentions, model.fame.words, model.fame.rates),
            slope=model.calibration.slope,
            intercept=model.calibration.intercept,
            shifts={name: _shift(model.shifts, name) for name in SHIFTS},
            limits={name: model.limits[name] for name in BOUNDS if name in model.limits},
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not an entailment model ({type(error).__name__}: {error}); make one with "
            "`riveg train entailer`"
        ) from error


def sigmoid(score: float) -> float:
    """Log-odds to a probability, without overflow."""
    if score >= 0:
        return 1 / (1 + math.exp(-score))
    return math.exp(score) / (1 + math.exp(score))


def _shift(shifts: Mapping[str, Shift], name: str) -> Shift:
    if name in {THING, NO_THING} and name not in shifts:
        return Shift(0.0, "the model was made before things were looked for")
    like = _LIKE.get(name, name) if name not in shifts else name
    return shifts[like]


_LIKE = {LONG_OCR_TEXT: OCR_TEXT, NAME_ALONE: PERSON_OCR_TEXT}
"""What models that were made before a finding was told apart have in its place."""


_LEAST_SHARE = 0.01


def _label_shares(entity: Entity) -> dict[str, float]:
    """Shares (they sum to 1) of the labels worth a look, folded into those of train."""
    shares = dict.fromkeys(LABELS, 0.0)
    for label, share in (entity.label_scores or {entity.label: 1.0}).items():
        shares[known_label(label)] += share
    kept = {label: share for label, share in shares.items() if share >= _LEAST_SHARE}
    total = sum(kept.values())
    if not total:
        return {known_label(entity.label): 1.0}
    return {label: share / total for label, share in kept.items()}
