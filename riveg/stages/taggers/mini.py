"""The shipped tagger: a small BERT encoder with case shapes, int8, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from riveg.checkpoints.onnx_session import open_session, require_inputs
from riveg.checkpoints.tokenizer_files import read_tokenizer
from riveg.config.backend import BackendConfig, BuildContext
from riveg.config.threads import ThreadCount, Threads, count_threads
from riveg.errors import UserError, reason
from riveg.files import asset, file_digest
from riveg.formats.json_files import checked, read_json
from riveg.geometry.arrays import Floats
from riveg.nn.bio_decoding import DecodedSpan, decode
from riveg.nn.calibration import PlattCurve, log_odds
from riveg.nn.word_pieces import Window, WordPieceWindows
from riveg.protocols import Tagger, finishing
from riveg.reads import Reads, reads
from riveg.text.spans import span_text
from riveg.types import Entity, Sample

_INPUTS = frozenset({"input_ids", "attention_mask", "shape_ids"})

_Inputs = tuple[tuple[int, ...], tuple[int, ...]]
"""All that a window's logits depend on."""

_FILES = ("model.onnx", "tokenizer.json", "tagger.json")


class MiniTaggerConfig(BackendConfig[Tagger]):
    """``model``: a folder that ``riveg train tagger`` made, or nothing for the shipped one.

    ``threads``: windows of text that are tagged at the same time, ``auto`` for one a core; the
    answers do not depend on it.
    """

    stage: ClassVar[str] = "tag"
    name: ClassVar[str] = "mini"
    summary: ClassVar[str] = "small tagger trained on Twitter-GMNER (PER, LOC, ORG, OTHER)"
    parallel: ClassVar[bool] = True
    immaterial: ClassVar[frozenset[str]] = frozenset({"threads"})

    model: Path | None = None
    threads: Threads = "auto"

    def reads(self) -> Reads:
        return reads("text")

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
    """Tags windows of text one by one on a pool of threads, equal ones once.

    (The int8 kernels scale activations by everything in a call, so batches would change scores.)

    Args:
        folder: Holds ``model.onnx``, ``tokenizer.json`` and ``tagger.json``.
        threads: Windows at the same time; ``auto``: one a core.
    """

    def __init__(self, folder: Path, *, threads: ThreadCount = "auto") -> None:
        settings = _read_settings(folder / "tagger.json")
        self._tags = settings.tags
        self._calibration = PlattCurve(settings.calibration.slope, settings.calibration.intercept)
        self._windows = WordPieceWindows(
            read_tokenizer(folder / "tokenizer.json"), max_pieces=settings.max_pieces
        )
        self._session = open_session(folder / "model.onnx")
        require_inputs(self._session, folder / "model.onnx", _INPUTS, len(self._tags))
        # One pool for the tagger's life: memory of threads that end is not given back.
        self._pool = ThreadPoolExecutor(count_threads(threads))

    def tag(self, samples: Sequence[Sample]) -> Sequence[tuple[Entity, ...]]:
        """Entities by position; ``score`` is the calibrated P(span and label are right)."""
        return list(
            finishing(map(self._tag_one, samples, self._logits([one.tokens for one in samples])))
        )

    def _tag_one(self, sample: Sample, logits: Floats) -> tuple[Entity, ...]:
        return tuple(
            self._entity(sample, found, number)
            for number, found in enumerate(decode(logits, self._tags))
        )

    def word_logits(self, tokens: Sequence[str]) -> Floats:
        """Tag logits of a sentence.

        *Shape:* ``(words, tags)``
        """
        return next(self._logits([tokens]))

    def _logits(self, texts: Sequence[Sequence[str]]) -> Iterator[Floats]:
        """The same of each text, as soon as it is there."""
        windows = [self._windows(tokens) for tokens in texts]
        distinct = {_inputs(one): one for of_text in windows for one in of_text}
        # All begin at once: a long text keeps every thread busy, as many short ones do.
        results = self._pool.map(self._window_logits, distinct.values())
        computed = zip(distinct, results, strict=True)
        known: dict[_Inputs, Floats] = {}
        for of_text in windows:
            while any(_inputs(one) not in known for one in of_text):
                known.update([next(computed)])
            parts = [known[_inputs(one)][list(one.owned_pieces)] for one in of_text]
            yield np.concatenate(parts) if parts else np.zeros((0, len(self._tags)))

    def _window_logits(self, window: Window) -> Floats:
        """*Shape:* ``(pieces, tags)``."""
        ids = np.array([window.input_ids], dtype=np.int64)
        (logits,) = self._session.run(
            None,
            {
                "input_ids": ids,
                "attention_mask": np.ones_like(ids),
                "shape_ids": np.array([window.shape_ids], dtype=np.int64),
            },
        )
        rows: Floats = logits[0].astype(np.float64)
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


def _inputs(window: Window) -> _Inputs:
    return window.input_ids, window.shape_ids
