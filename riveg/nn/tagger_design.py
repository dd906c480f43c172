"""What ``tagger.json`` says of a trained sequence tagger; nothing heavy is imported for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from riveg.errors import UserError, reason
from riveg.files import write_atomically
from riveg.formats.json_files import checked, read_json
from riveg.text.bio import OUTSIDE
from riveg.text.tag_schemes import is_tag

SETTINGS = "tagger.json"


_MOST_TAGS = 2000


def _checked_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    if tags and (OUTSIDE not in tags or len({*tags}) < len(tags) or not all(map(is_tag, tags))):
        raise ValueError("expected O and tags such as B-PER and I-PER, each once")
    return tags


Tags = Annotated[tuple[str, ...], Field(max_length=_MOST_TAGS), AfterValidator(_checked_tags)]
"""The tags of a level; ``()`` where there is none."""


class TaggerDesign(BaseModel):
    """What a tagger's network consists of.

    Args:
        tags: Of the only level, or of the coarse one.
        fine_tags: Of the fine level; ``()`` where there is one level.
        crf: Whether transitions have scores; without, each word is classified by itself, and
            decoding only keeps to the scheme.
        shapes: Whether the encoder is told the case shape of each word.
        dropout: Probability, on the words' vectors.
        alpha: Weight of the coarse loss; the fine one has the rest.
        beta: Share of the coarse logits in the fine ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tags: Tags = Field(min_length=1)
    fine_tags: Tags = ()
    crf: bool = True
    shapes: bool = False
    dropout: float = Field(default=0.1, ge=0, lt=1)
    alpha: float = Field(default=0.1, ge=0, le=1)
    beta: float = Field(default=0.1, ge=0, le=1)


class TaggerSettings(BaseModel):
    """What a trained tagger needs besides its weights.

    Args:
        design: Heads and tags.
        coarse_of: Fine label -> coarse label; empty where there are no fine labels.
        max_pieces: Pieces a window, special tokens included.
        knowledge: Whether knowledge is appended to the text.
        knowledge_is_scored: Whether words of knowledge are tagged, too, as RiVEG's code does.
        knowledge_made_by: Fingerprints of the stages ``augment`` whose knowledge was learnt, and
            ``unknown`` of files that do not say how they were made.
        temperature: By which log-odds of probabilities are divided, so that they are calibrated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    design: TaggerDesign
    coarse_of: dict[str, str] = Field(default_factory=dict)
    max_pieces: int = Field(ge=8, le=100_000)
    knowledge: Literal["none", "appended"] = "none"
    knowledge_is_scored: bool = False
    knowledge_made_by: tuple[str, ...] = ()
    temperature: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _of_one_set(self) -> TaggerSettings:
        """Each fine label has its coarse one; of two levels, that is a label of the other."""
        levels = [_names(tags) for tags in (self.design.tags, self.design.fine_tags) if tags]
        if len(levels) == 2 or self.coarse_of:
            has_coarse = len(levels) < 2 or {*self.coarse_of.values()} <= levels[0]
            if {*self.coarse_of} != levels[-1] or not has_coarse:
                raise ValueError("coarse_of: expected the coarse label of each fine one")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the tagger answers with, in the order of its tags.

        >>> design = TaggerDesign(tags=("O", "B-actor", "I-actor", "B-city", "I-city"))
        >>> coarse_of = {"actor": "PER", "city": "LOC"}
        >>> TaggerSettings(design=design, coarse_of=coarse_of, max_pieces=8).labels
        ('PER', 'LOC')
        """
        names = [tag.partition("-")[2] for tag in self.design.tags if tag != OUTSIDE]
        if not self.design.fine_tags:  # the only level, which may be the fine one
            names = [self.coarse_of.get(name, name) for name in names]
        return tuple(dict.fromkeys(names))


def _names(tags: tuple[str, ...]) -> set[str]:
    return {tag[2:] for tag in tags if tag != OUTSIDE}


def read_settings(folder: Path) -> TaggerSettings:
    """What ``tagger.json`` says.

    Raises:
        UserError: If it is not of a tagger of this kind.
    """
    path = folder / SETTINGS
    try:
        return checked(TaggerSettings, read_json(path), f"{path}: is not of a CRF tagger")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: is not of a CRF tagger ({reason(error)})") from error


def write_settings(folder: Path, settings: TaggerSettings) -> None:
    """Writes ``tagger.json``.

    Raises:
        UserError: If the file cannot be written.
    """
    text = settings.model_dump_json(indent=2) + "\n"
    write_atomically(folder / SETTINGS, [text.encode()])
