"""Entities of types of the user's own by GLiNER2, without a language model and without training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

from pydantic import Field, field_validator

from riveg.checkpoints.folders import ModelFiles, model_contents
from riveg.config.backend import BackendConfig, BuildContext
from riveg.labels import Label
from riveg.nn.gliner_network import (
    ENCODER_FOLDER,
    EXTRA,
    FoundName,
    GlinerNetwork,
    WordSplitter,
    load_gliner,
)
from riveg.protocols import Tagger
from riveg.reads import Reads, reads
from riveg.text.alignment import without_overlaps
from riveg.text.spans import covering_span, span_text
from riveg.types import Entity, Sample, Span
from riveg.vision.runtime.loading import place
from riveg.vision.runtime.options import TorchOptions, Workers

_FILES = (
    *("model.safetensors", "config.json", f"{ENCODER_FOLDER}/config.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("spm.model", "sentencepiece.bpe.model", "vocab.txt", "vocab.json", "merges.txt"),
)
"""Files of a checkpoint; of the tokenizer's, each has those of its kind."""


class GlinerTaggerConfig(TorchOptions, BackendConfig[Tagger]):
    """``threshold``: lowest P of an entity, in [0, 1].

    ``max_pieces``: word pieces of types and text in one window. ``words``: what the network takes
    for words: ``whitespace``, as published checkpoints were trained, or ``char``, every letter but
    Latin ones, for writing without blanks.
    """

    stage: ClassVar[str] = "tag"
    name: ClassVar[str] = "gliner"
    summary: ClassVar[str] = "GLiNER2, told the types, also your own; no training"
    extra: ClassVar[str | None] = EXTRA
    packages: ClassVar[tuple[str, ...]] = (
        *("gliner2", "torch", "transformers", "safetensors", "peft"),
    )
    uses_labels: ClassVar[bool] = True

    model: str = Field(default="fastino/gliner2.5-base-v1", min_length=1)
    licence: str | None = "apache-2.0"
    threshold: float = Field(default=0.5, ge=0.0, le=1.0)
    max_pieces: int = Field(default=512, ge=32)
    words: WordSplitter = "whitespace"

    @field_validator("workers")
    @classmethod
    def _without_workers(cls, value: Workers) -> Workers:
        if value != "auto":
            raise ValueError("a tagger opens no pictures, so it has no workers: leave it out")
        return value

    def own_files(self) -> tuple[ModelFiles, ...]:
        return (ModelFiles(self.model, self.revision, self.licence, self.gated, files=_FILES),)

    def reads(self) -> Reads:
        return reads("text")

    def build(self, context: BuildContext) -> GlinerTagger:
        """Loads the network.

        Raises:
            UserError: If the model is not there or is another, or the types fill its window.
        """
        model = load_gliner(self.folder(context.base), self, self.words)
        network = GlinerNetwork(
            model,
            context.labels,
            threshold=self.threshold,
            max_pieces=self.max_pieces,
            batch_size=self.batch_size,
            placement=place(self.device, self.dtype),
        )
        return GlinerTagger(network, context.labels)

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the model's files."""
        folder = self.folder(base)
        encoder = model_contents(folder / ENCODER_FOLDER)
        inside = {f"{ENCODER_FOLDER}/{name}": digest for name, digest in encoder.items()}
        return {**model_contents(folder), **inside}


class _Candidate(NamedTuple):
    span: Span
    label: str
    score: float


class GlinerTagger:
    """Entities that do not overlap: of those that do, the more probable one.

    The network's words are not the sample's tokens: a name stands for all tokens that it touches.

    Args:
        network: Finds names.
        labels: The types; of two that are as probable the first is taken.
    """

    def __init__(self, network: GlinerNetwork, labels: Sequence[Label]) -> None:
        self._network = network
        self._places = {label.name: place for place, label in enumerate(labels)}

    def tag(self, samples: Sequence[Sample]) -> Sequence[tuple[Entity, ...]]:
        """Entities by position; ``score`` is the network's P of span and type, not calibrated."""
        found = self._network.find([sample.text for sample in samples])
        return [
            tuple(self._entities(sample, names))
            for sample, names in zip(samples, found, strict=True)
        ]

    def _entities(self, sample: Sample, names: Sequence[FoundName]) -> Iterator[Entity]:
        candidates = [
            _Candidate(span, name.label, name.score)
            for name in names
            if (span := covering_span(sample.offsets, name.start, name.end)) is not None
        ]
        kept, _ = without_overlaps(candidates, self._rank)
        for number, one in enumerate(kept):
            text = span_text(sample.text, sample.offsets, one.span)
            yield Entity(f"e{number}", text, one.label, one.span, one.score)

    def _rank(self, one: _Candidate) -> tuple[float, ...]:
        span = one.span
        return -one.score, span.start - span.end, span.start, self._places[one.label]
