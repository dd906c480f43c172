"""How ``riveg train crf-tagger`` trains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from riveg.training.config import TrainingConfig
from riveg.training.loop_settings import LoopSettings

if TYPE_CHECKING:
    from riveg.training.config import Course
    from riveg.training.data import AnnotatedSplit

_PARTS = ("encoder", "shapes", "head", "crf", "fine_head", "fine_crf", "coarse_to_fine")
"""What the names of a sequence tagger's parameters begin with; not each tagger has all."""


class CrfTaggerSettings(TrainingConfig):
    """From which encoder a sequence tagger is trained, and how.

    ``model``: an encoder's folder, ``package:NAME`` for a Python package with a function
    ``get_model_path``, or a fetched id of the hub; ``revision`` pins its commit.

    ``level``: which labels are learnt: ``coarse``, ``fine`` ones alone, or ``both`` with a head
    each (GEM). ``scheme``: ``bio`` or ``bioes``. ``head``: ``crf`` or ``linear``.

    ``knowledge``: ``appended`` puts a language model's knowledge behind the text; it comes from the
    dataset's ``knowledge:`` files, or from ``knowledge_files`` by split. Several pieces of
    knowledge about a post of train make several rows; of dev, the first is taken.
    ``knowledge_is_scored``: words of knowledge are tagged, too, and take part in the loss, as in
    RiVEG's released code. ``shapes``: an uncased encoder is told the case of words.

    ``alpha``, ``beta``: of ``level: both``, the weight of the coarse loss and the share of coarse
    logits in the fine ones.
    """

    name: ClassVar[str] = "crf-tagger"
    summary: ClassVar[str] = "tagger on any encoder, with a CRF, knowledge, fine labels (tag: crf)"

    model: str = Field(min_length=1)
    revision: str | None = None
    level: Literal["coarse", "fine", "both"] = "coarse"
    scheme: Literal["bio", "bioes"] = "bio"
    head: Literal["linear", "crf"] = "crf"
    knowledge: Literal["none", "appended"] = "none"
    knowledge_files: dict[str, tuple[Path, ...]] = Field(default_factory=dict)
    knowledge_is_scored: bool = False
    shapes: bool = False
    dropout: float = Field(default=0.1, ge=0, lt=1)
    max_pieces: int = Field(default=128, ge=16)
    alpha: float = Field(default=0.1, ge=0, le=1)
    beta: float = Field(default=0.1, ge=0, le=1)
    loop: LoopSettings = LoopSettings()

    def learnt_from(self, course: Course) -> tuple[Path, ...]:
        """Also the files of knowledge that the dataset names."""
        if self.knowledge == "none":
            return super().learnt_from(course)
        named = (self.files_of_knowledge(split) for split in (course.train, course.dev))
        return (*super().learnt_from(course), *(path for files in named for path in files))

    def files_of_knowledge(self, source: AnnotatedSplit) -> tuple[Path, ...]:
        """Those about a split: the configuration's, or those that the dataset names."""
        split = source.dataset.split or ""
        return self.knowledge_files.get(split) or source.dataset.knowledge.get(split, ())

    @model_validator(mode="after")
    def _check_knowledge(self) -> Self:
        if self.knowledge == "none" and (self.knowledge_files or self.knowledge_is_scored):
            raise ValueError(
                "knowledge_files and knowledge_is_scored have no effect with `knowledge: none`"
            )
        splits = (self.train_split, self.dev_split)
        if unknown := [split for split in self.knowledge_files if split not in splits]:
            raise ValueError(
                f"knowledge_files: {unknown[0]!r} is no split of this training, which reads "
                f"{' and '.join(splits)}"
            )
        return self

    @field_validator("loop")
    @classmethod
    def _check_names_of_rates(cls, loop: LoopSettings) -> LoopSettings:
        return loop.with_rates_of(_PARTS)
