"""Taggers of ``riveg train crf-tagger``: any encoder, with a CRF, knowledge, fine labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from riveg.checkpoints.folders import EXTRA, ModelFiles, untrained
from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import UserError
from riveg.files import file_digest
from riveg.formats.knowledge_runs import AUGMENT
from riveg.nn.calibration import PlattCurve, log_odds
from riveg.nn.tagger_design import read_settings
from riveg.protocols import AnswerOrIssue, PartialAnswer, Tagger
from riveg.reads import Reads, reads
from riveg.text.spans import span_text
from riveg.types import WARNING, Entity, Issue, Sample
from riveg.vision.runtime.loading import place
from riveg.vision.runtime.options import Device, DType

if TYPE_CHECKING:
    from riveg.nn.tagger_decoding import FoundEntity
    from riveg.nn.word_pieces import Window

_FILES = ("tagger.json", "model.safetensors", "config.json", "tokenizer.json")


class CrfTaggerConfig(BackendConfig[Tagger]):
    """``model``: a folder that ``riveg train crf-tagger`` made.

    ``knowledge``: ``appended`` where the tagger was trained with knowledge, which the stage
    ``augment`` then has to give. ``device``, ``dtype``: ``auto`` is a GPU in bfloat16 where there
    is one. ``batch_size``: windows of text in one forward pass. ``dropout_passes``: how often each
    text is read once more with dropout, 0 for not at all; how far these passes differ is each
    entity's ``uncertainty``, which the stage ``review`` can go by; ``dropout_seed``: their chance.
    ``trained_by``: the command that makes the model, for messages and ``riveg fetch``.
    """

    stage: ClassVar[str] = "tag"
    name: ClassVar[str] = "crf"
    summary: ClassVar[str] = "a tagger of your own: riveg train crf-tagger (also PGIM's and GEM's)"
    extra: ClassVar[str | None] = EXTRA
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors")
    immaterial: ClassVar[frozenset[str]] = frozenset({"batch_size", "trained_by"})

    model: Path
    trained_by: str = "riveg train crf-tagger"
    knowledge: Literal["none", "appended"] = "none"
    device: Device = "auto"
    dtype: DType = "auto"
    batch_size: int = Field(default=32, ge=1)
    dropout_passes: int = Field(default=0, ge=0, le=200)
    dropout_seed: int = Field(default=0, ge=0)

    @field_validator("dropout_passes")
    @classmethod
    def _can_differ(cls, value: int) -> int:
        if value == 1:
            raise ValueError("one pass cannot differ from another; give 2 or more, or 0")
        return value

    def reads(self) -> Reads:
        return reads("text" if self.knowledge == "none" else "text knowledge")

    def build(self, context: BuildContext) -> CrfTagger:
        """Loads the network.

        Raises:
            UserError: If the folder is no such tagger's, the device is not there, or the tagger was
                trained with knowledge and is to be used without, or the other way round.
        """
        return CrfTagger(
            self._folder(context.base),
            knowledge=self.knowledge,
            device=self.device,
            dtype=self.dtype,
            batch_size=self.batch_size,
            dropout_passes=self.dropout_passes,
            dropout_seed=self.dropout_seed,
        )

    def clash(self, others: Mapping[str, BackendConfig[object]]) -> tuple[str, str] | None:
        """Knowledge comes from the stage ``augment``, which has to be there."""
        if self.knowledge == "appended" and AUGMENT not in others:
            return "knowledge", "add the stage augment, which gives the knowledge"
        return None

    def own_labels(self, base: Path) -> tuple[str, ...]:
        """The labels that it was trained with."""
        return read_settings(self._folder(base)).labels

    def trained_with(self, base: Path) -> Mapping[str, tuple[str, ...]]:
        """Where it was trained with knowledge: who had made that."""
        if self.knowledge == "none":
            return {}
        return {AUGMENT: read_settings(self._folder(base)).knowledge_made_by}

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the model's files.

        Raises:
            UserError: If it is used otherwise than it was trained: found before the run.
        """
        folder = self._folder(base)
        _require_same_knowledge(folder, read_settings(folder).knowledge, self.knowledge)
        return {name: file_digest(folder / name) for name in _FILES}

    def model_files(self) -> tuple[ModelFiles, ...]:
        """Its own files, which no hub has."""
        return (ModelFiles(str(self.model), files=_FILES, trained_by=self.trained_by),)

    def _folder(self, base: Path) -> Path:
        folder = base / self.model
        if not folder.is_dir():
            raise untrained(self.model_files()[0], base)
        missing = [name for name in _FILES if not (folder / name).is_file()]
        if missing:
            raise UserError(
                f"tag.model: {folder} lacks {', '.join(missing)}; make it with `{self.trained_by}`"
            )
        return folder


class CrfTagger:
    """Tags batches of texts of similar length.

    Args:
        folder: As the training wrote it.
        knowledge: What it is used with; has to be what it was trained with.
        device: As in the configuration.
        dtype: As in the configuration.
        batch_size: Windows in one forward pass.
        dropout_passes: How often each text is read once more with dropout; 0: not at all.
        dropout_seed: Of the chance in these passes.

    Raises:
        UserError: If the folder is no such tagger's, the device is not there, or ``knowledge`` is
            another.
    """

    def __init__(
        self,
        folder: Path,
        *,
        knowledge: Literal["none", "appended"] = "none",
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 32,
        dropout_passes: int = 0,
        dropout_seed: int = 0,
    ) -> None:
        from riveg.nn.encoders import padding_id
        from riveg.nn.tagger_dropout import DropoutPasses
        from riveg.nn.tagger_folder import read_network, read_windows
        from riveg.nn.tagger_prediction import TaggerPrediction

        settings = read_settings(folder)
        _require_same_knowledge(folder, settings.knowledge, knowledge)
        placement = place(device, dtype)
        network = read_network(folder, settings).to(placement.device)
        self._with_knowledge = settings.knowledge == "appended"
        self._windows = read_windows(folder, settings, network.encoder)
        self._calibration = PlattCurve(1 / settings.temperature, 0.0)
        self._prediction = TaggerPrediction(
            network,
            placement,
            padding_id=padding_id(network.encoder),
            batch_size=batch_size,
            coarse_of=settings.coarse_of,
            with_knowledge=settings.knowledge_is_scored,
        )
        self._passes = (
            DropoutPasses(
                network,
                placement,
                padding_id=padding_id(network.encoder),
                passes=dropout_passes,
                seed=dropout_seed,
                with_knowledge=settings.knowledge_is_scored,
            )
            if dropout_passes
            else None
        )

    def tag(self, samples: Sequence[Sample]) -> Sequence[AnswerOrIssue[tuple[Entity, ...]]]:
        """Entities by position.

        ``score`` is the probability of exactly this span with this label, calibrated; the label
        distributions are GEM's, of the averaged logits of the entity's words. An answer without the
        knowledge that the tagger was trained with has a warning.
        """
        texts = [self._windows(sample.tokens, self._knowledge(sample)) for sample in samples]
        answers: list[AnswerOrIssue[tuple[Entity, ...]]] = []
        tagged = self._prediction.entities(texts)
        for sample, windows, found in zip(samples, texts, tagged, strict=True):
            # Only in knowledge that is tagged, too, does an entity lie behind the text.
            inside = [one for one in found if one.span.end <= len(sample.tokens)]
            uncertain = self._uncertainties(windows, inside)
            entities = tuple(
                Entity(
                    id=f"e{number}",
                    text=span_text(sample.text, sample.offsets, one.span),
                    label=one.label,
                    span=one.span,
                    score=self._score(one.probability),
                    label_scores=_rounded(one.label_scores),
                    fine_label=one.fine_label,
                    fine_label_scores=one.fine_label_scores and _rounded(one.fine_label_scores),
                    uncertainty=None if uncertain is None else _rounded(uncertain[number]),
                )
                for number, one in enumerate(inside)
            )
            lacks = self._with_knowledge and not sample.knowledge
            answers.append(PartialAnswer(entities, (_NO_KNOWLEDGE,)) if lacks else entities)
        return answers

    def _uncertainties(
        self, windows: Sequence[Window], found: Sequence[FoundEntity]
    ) -> list[Mapping[str, float]] | None:
        if self._passes is None:
            return None
        return self._passes.uncertainties(windows, [one.span for one in found])

    def _knowledge(self, sample: Sample) -> list[str]:
        return (sample.knowledge or "").split() if self._with_knowledge else []

    def _score(self, probability: float) -> float:
        return round(float(self._calibration(log_odds(np.array(probability)))), 4)


_NO_KNOWLEDGE = Issue(
    "tag", None, WARNING, "there is no knowledge about this post: it was tagged by its text alone"
)


def _require_same_knowledge(folder: Path, trained: str, used: str) -> None:
    if trained == used:
        return
    if trained == "appended":
        raise UserError(
            f"tag.knowledge: {folder} was trained with knowledge behind the text: say "
            "`knowledge: appended`, with a stage augment"
        )
    raise UserError(f"tag.knowledge: {folder} was trained without knowledge: leave `knowledge` out")


def _rounded(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: round(score, 4) for name, score in scores.items()}
