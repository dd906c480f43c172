"""The shipped tagger: a small BERT encoder with case shapes, int8, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from riveg.checkpoints.onnx_session import open_session, require_inputs
from riveg.checkpoints.tokenizer_files import read_tokenizer
from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import UserError, reason
from riveg.files import asset, file_digest
from riveg.formats.json_files import checked, read_json
from riveg.geometry.arrays import Floats
from riveg.nn.bio_decoding import DecodedSpan, decode
from riveg.nn.calibration import PlattCurve, log_odds
from riveg.nn.word_pieces import Window, WordPieceWindows
from riveg.protocols import Tagger, finishing
from riveg.text.spans import span_text
from riveg.types import Entity, Sample

_INPUTS = frozenset({"input_ids", "attention_mask", "shape_ids"})

_FILES = ("model.onnx", "tokenizer.json", "tagger.json")


class MiniTaggerConfig(BackendConfig[Tagger]):
    """``model``: a folder that ``riveg train tagger`` made, or nothing for the shipped one.

    ``threads``: samples that are tagged at the same time; the answers do not depend on it.
    """

    stage: ClassVar[str] = "tag"
    name: ClassVar[str] = "mini"
    summary: ClassVar[str] = "small tagger trained on Twitter-GMNER (PER, LOC, ORG, OTHER)"

    model: Path | None = None
    threads: int = Field(default=2, ge=1)

    def build(self, context: BuildContext) -> MiniTagger:
        """Loads the model.

        Raises:
            UserError: If the folder is not a tagger's.
        """
        return MiniTagger(_folder(self.model, context.base), threads=self.threads)

    def own_labels(self, base: Path) -> tuple[str, ...]:
        """The types of the model's tags."""
        tags = _read_settings(_folder(self.model, base) / "tagger.json").tags
        return tuple(dict.fromkeys(tag.partition("-")[2] for tag in tags if "-" in tag))

    def scripts(self) -> frozenset[str]:
        """Latin for the shipped model, which read English; others may have read anything."""
        return frozenset({"Latin"}) if self.model is None else frozenset()

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the model's files."""
        folder = _folder(self.model, base)
        return {name: file_digest(folder / name) for name in _FILES}


def _folder(model: Path | None, base: Path) -> Path:
    folder = asset("tagger") if model is None else base / model
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"tag.model: {folder} lacks {', '.join(missing)}; make it with `riveg train tagger`"
        )
    return folder


class _Calibration(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    slope: float
    intercept: float


class _Settings(BaseModel):
    """What ``tagger.json`` says; ``max_pieces`` is bounded by the positions of a BERT."""

    tags: list[str] = Field(min_length=1, max_length=10_000)
    max_pieces: int = Field(ge=3, le=512)
    calibration: _Calibration


def _read_settings(path: Path) -> _Settings:
    try:
        return checked(_Settings, read_json(path), f"{path}: is not of a tagger")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: is not of a tagger ({reason(error)})") from error


class MiniTagger:
    """Tags samples one by one on a pool of threads.

    (The int8 kernels scale activations by everything in a call, so batches would change scores.)

    Args:
        folder: Holds ``model.onnx``, ``tokenizer.json`` and ``tagger.json``.
        threads: Samples at the same time.
    """

    def __init__(self, folder: Path, *, threads: int = 2) -> None:
        settings = _read_settings(folder / "tagger.json")
        self._tags = settings.tags
        self._calibration = PlattCurve(settings.calibration.slope, settings.calibration.intercept)
        self._windows = WordPieceWindows(
            read_tokenizer(folder / "tokenizer.json"), max_pieces=settings.max_pieces
        )
        self._session = open_session(folder / "model.onnx")
        require_inputs(self._session, folder / "model.onnx", _INPUTS, len(self._tags))
        # One pool for the tagger's life: memory of threads that end is not given back.
        self._pool = ThreadPoolExecutor(threads)

    def tag(self, samples: Sequence[Sample]) -> Sequence[tuple[Entity, ...]]:
        """Entities by position; ``score`` is the calibrated P(span and label are right)."""
        return list(finishing(self._pool.map(self._tag_one, samples)))

    def _tag_one(self, sample: Sample) -> tuple[Entity, ...]:
        logits = self.word_logits(sample.tokens)
        return tuple(
            self._entity(sample, found, number)
            for number, found in enumerate(decode(logits, self._tags))
        )

    def word_logits(self, tokens: Sequence[str]) -> Floats:
        """Tag logits of a sentence.

        *Shape:* ``(words, tags)``
        """
        parts = [self._window_logits(window) for window in self._windows(tokens)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self._tags)))

    def _window_logits(self, window: Window) -> Floats:
        ids = np.array([window.input_ids], dtype=np.int64)
        (logits,) = self._session.run(
            None,
            {
                "input_ids": ids,
                "attention_mask": np.ones_like(ids),
                "shape_ids": np.array([window.shape_ids], dtype=np.int64),
            },
        )
        rows: Floats = logits[0][list(window.owned_pieces)].astype(np.float64)
        return rows

    def _entity(self, sample: Sample, found: DecodedSpan, number: int) -> Entity:
        return Entity(
            id=f"e{number}",
            text=span_text(sample.text, sample.offsets, found.span),
            label=found.label,
            span=found.span,
            score=round(float(self._calibration(log_odds(np.array(found.confidence)))), 4),
            label_scores={name: round(score, 4) for name, score in found.label_scores.items()},
        )
