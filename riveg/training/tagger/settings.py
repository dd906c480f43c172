"""How a tagger is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from riveg.text.bio import bio_tags
from riveg.training.config import TrainingConfig
from riveg.training.loop_settings import LoopSettings, Seed

_PARTS = ("encoder", "shapes", "tag_head", "side_heads")
"""What the names of its parameters begin with."""


class Corpus(BaseModel):
    """Other annotated texts to learn from before the task's own.

    ``data``: a dataset; its types may be any. ``splits``: those that are learnt from.
    ``plain_share``: the share of its texts without an entity that is kept, in [0, 1]. ``credit``:
    who made it, where it is and under which licence, for the card.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    splits: tuple[str, ...] = Field(default=("train",), min_length=1)
    plain_share: float = Field(default=1.0, ge=0, le=1)
    credit: str = ""


class TeacherSettings(BaseModel):
    """Larger taggers to learn from: the mean of what they find likely.

    ``models``: folders that ``riveg train crf-tagger`` made of the same labels, in BIO, without
    knowledge; ``dtype``: their number type (``auto``: bfloat16 on a GPU, else float32). ``trust``:
    their share of the loss of ``data``, in [0, 1]. ``corpora_share``: the share of the corpora's
    sentences that they tag, which are then learnt by those tags; their own tags only serve
    ``pretraining``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[Path, ...] = Field(min_length=1)
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    trust: float = Field(default=0.7, ge=0, le=1)
    corpora_share: float = Field(default=1.0, ge=0, le=1)


class TaggerSettings(TrainingConfig):
    """What to train on, from which encoder, how.

    ``data``: a dataset; if it has fine labels, they are a side task. ``base``: a folder with a BERT
    encoder, or ``package:NAME`` for a Python package with a function ``get_model_path``.

    ``corpora``: other texts. The encoder first learns them and ``data`` together in ``pretraining``
    (each corpus has a head of its own, so its types and habits need not be those of ``data``; names
    behind ``@`` are learnt from ``data`` alone), then ``data`` alone in ``loop``, once a seed.

    ``teacher``: larger taggers, from which ``loop`` learns as well: how likely each tag is, on the
    sentences of ``data`` and on those of ``corpora``.

    ``swap_rates``: for each seed, the probability to replace a mention by another of its fine label
    (different seeds average better); ``mask_rate``: the probability to mask a word piece.
    ``adversarial``: how far the vectors of pieces are pushed to where the loss grows; what is
    learnt is right there, too (0: not done; else an epoch takes more than twice as long).
    ``train_words``: whether the embeddings of pieces are trained as well; without, words that only
    the base has seen stay in step with those of the data.
    """

    name: ClassVar[str] = "tagger"
    summary: ClassVar[str] = "`tag: mini`: a small encoder with case shapes, int8 without torch"
    packages: ClassVar[tuple[str, ...]] = (*TrainingConfig.packages, "onnx")

    base: str
    labels: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=("PER", "LOC", "ORG", "OTHER"), min_length=1
    )
    corpora: tuple[Corpus, ...] = ()
    teacher: TeacherSettings | None = None
    pretraining: LoopSettings = LoopSettings()
    loop: LoopSettings = LoopSettings()
    seeds: tuple[Seed, ...] = (1, 2)
    swap_rates: tuple[float, ...] = (0.0, 0.2)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    fine_weight: float = Field(default=0.5, ge=0)
    mask_rate: float = Field(default=0.1, ge=0, lt=1)
    adversarial: float = Field(default=0.0, ge=0, le=10)
    train_words: bool = True
    max_pieces: int = Field(default=128, ge=16, le=512)

    def other_data(self) -> tuple[tuple[str, str], ...]:
        """Each split of each corpus."""
        return tuple((corpus.data, split) for corpus in self.corpora for split in corpus.splits)

    @property
    def tags(self) -> tuple[str, ...]:
        """``O``, then ``B-`` and ``I-`` of every label."""
        return bio_tags(self.labels)

    @property
    def seed_plan(self) -> tuple[tuple[int, float], ...]:
        """Each seed with its swap rate."""
        return tuple(zip(self.seeds, self.swap_rates, strict=True))

    @field_validator("labels")
    @classmethod
    def _check_labels(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len({*labels}) < len(labels):
            raise ValueError("each label stands once")
        return labels

    @field_validator("seeds")
    @classmethod
    def _check_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds:
            raise ValueError("one at least has to be there")
        if len({*seeds}) < len(seeds):
            raise ValueError("each seed is one training: the same one twice brings nothing")
        return seeds

    @field_validator("pretraining", "loop")
    @classmethod
    def _check_names_of_rates(cls, loop: LoopSettings) -> LoopSettings:
        return loop.with_rates_of(_PARTS)

    @model_validator(mode="after")
    def _check_swap_rates(self) -> Self:
        if len(self.swap_rates) != len(self.seeds):
            raise ValueError(f"swap_rates needs one value a seed ({len(self.seeds)})")
        if not all(0 <= rate <= 1 for rate in self.swap_rates):
            raise ValueError("swap_rates must lie in [0, 1]")
        return self
