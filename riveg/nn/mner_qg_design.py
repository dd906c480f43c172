"""What ``mner-qg.json`` says of a trained MNER-QG; nothing heavy is imported for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from riveg.errors import UserError, reason
from riveg.files import write_atomically
from riveg.formats.json_files import checked, read_json

SETTINGS = "mner-qg.json"

_Share = Annotated[float, Field(gt=0, le=1)]
_Query = Annotated[str, Field(min_length=1, max_length=2000)]

SCALES = 3
ANCHORS = 3
"""Of each scale."""


class MnerQgDesign(BaseModel):
    """What the network consists of.

    Args:
        width: Of the states in which pieces and image positions meet.
        attention_heads: Of each attention between the two; ``width`` is a multiple of it.
        dropout: Probability, on the states that the heads read.
        image_side: Width and height that images are resized to, in pixels.
        grids: Image positions along a side at each scale, finest first.
        anchors: Sizes of boxes at each scale, shares of the image's sides; ``()``: the network
            grounds nothing.
        existence: Whether it says if the sentence has an entity of the type, and hears that.
        cross_modality: Whether pieces and image positions look at each other; without, positions
            only hear the query's first state, and pieces hear nothing of the image.
        frozen_norms: Whether batch norms of the backbone keep their statistics in training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    width: int = Field(default=256, ge=8, le=8192)
    attention_heads: int = Field(default=4, ge=1, le=256)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    image_side: int = Field(default=256, ge=32, le=2048)
    grids: tuple[int, ...] = Field(min_length=SCALES, max_length=SCALES)
    anchors: tuple[tuple[tuple[_Share, _Share], ...], ...] = ()
    existence: bool = True
    cross_modality: bool = True
    frozen_norms: bool = True

    @model_validator(mode="after")
    def _fits_together(self) -> MnerQgDesign:
        if self.width % self.attention_heads:
            raise ValueError(
                f"width: {self.width} is no multiple of attention_heads, {self.attention_heads}"
            )
        if self.anchors and [len(sizes) for sizes in self.anchors] != [ANCHORS] * SCALES:
            raise ValueError(f"anchors: expected {ANCHORS} sizes for each of {SCALES} scales")
        if not all(1 <= grid <= self.image_side for grid in self.grids):
            raise ValueError(f"grids: expected 1 to {self.image_side} positions along a side")
        return self


class MnerQgSettings(BaseModel):
    """What a trained MNER-QG needs besides its weights.

    Args:
        design: The network.
        queries: The text of each type.
        coarse_of: Fine type -> type, where the queries are those of fine types; else empty.
        max_pieces: Pieces a window, the query and special tokens included.
        mean: Of an image's channels in [0, 1], RGB, which is taken from each.
        deviation: By which they are then divided.
        span_temperature: By which log-odds of spans are divided, so that they are calibrated.
        span_threshold: A span's calibrated score must reach it, in [0, 1].
        region_temperature: The same of regions.
        threshold: A region's calibrated score must reach it, in [0, 1].
        weak_boxes: Whether the boxes that were learnt are another system's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    design: MnerQgDesign
    queries: dict[str, _Query] = Field(min_length=1, max_length=1000)
    coarse_of: dict[str, str] = Field(default_factory=dict)
    max_pieces: int = Field(ge=16, le=100_000)
    mean: tuple[float, float, float]
    deviation: tuple[
        Annotated[float, Field(gt=0)],
        Annotated[float, Field(gt=0)],
        Annotated[float, Field(gt=0)],
    ]
    span_temperature: float = Field(default=1.0, gt=0)
    span_threshold: float = Field(default=0.5, ge=0, le=1)
    region_temperature: float = Field(default=1.0, gt=0)
    threshold: float = Field(default=0.5, ge=0, le=1)
    weak_boxes: bool = False

    @model_validator(mode="after")
    def _of_one_set(self) -> MnerQgSettings:
        if self.coarse_of and {*self.coarse_of} != {*self.queries}:
            raise ValueError("coarse_of: expected the type of each query's fine type")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The types that it answers with, in the order of the queries."""
        return tuple(dict.fromkeys(self.coarse_of.get(name, name) for name in self.queries))


def read_settings(folder: Path) -> MnerQgSettings:
    """What ``mner-qg.json`` says.

    Raises:
        UserError: If it is not of an MNER-QG.
    """
    path = folder / SETTINGS
    try:
        return checked(MnerQgSettings, read_json(path), f"{path}: is not of an MNER-QG")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: is not of an MNER-QG ({reason(error)})") from error


def write_settings(folder: Path, settings: MnerQgSettings) -> None:
    """Writes ``mner-qg.json``.

    Raises:
        UserError: If the file cannot be written.
    """
    write_atomically(folder / SETTINGS, [(settings.model_dump_json(indent=2) + "\n").encode()])
