"""Where entities of a type usually lie in images, learned from boxes alone."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from riveg.errors import UserError
from riveg.files import read_regular
from riveg.types import Box, ImageSize


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PriorBox(_Frozen):
    """A box in relative coordinates, each edge in [0, 1] of the image's side.

    ``share`` is the share of the training entities of the type that it alone hits (IoU >= 0.5).
    """

    edges: tuple[float, float, float, float]
    share: float

    def in_pixels(self, size: ImageSize) -> Box:
        """The box in pixels of an image."""
        x_min, y_min, x_max, y_max = self.edges
        return Box(x_min * size.width, y_min * size.height, x_max * size.width, y_max * size.height)


class BoxPriors(_Frozen):
    """Prior boxes by type, best first, and how long bodies are.

    ``reaches``: length of a body box in body widths for one, two ... people; the last number also
    holds for more. A body ends with the image where that ends before.
    """

    boxes: dict[str, tuple[PriorBox, ...]]
    reaches: tuple[float, ...]

    def for_label(self, label: str) -> tuple[PriorBox, ...]:
        """The boxes of a type; those of ``*`` for a type that is not in the training data."""
        return self.boxes.get(label, self.boxes["*"])

    def reach(self, people: int) -> float:
        """The reach of bodies in an image with ``people >= 1`` of them."""
        return self.reaches[min(people, len(self.reaches)) - 1]


def read_box_priors(path: Path) -> BoxPriors:
    """The priors in a JSON file.

    Raises:
        UserError: If the file is missing or is no prior file.
    """
    try:
        priors = BoxPriors.model_validate_json(read_regular(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "top level"
        raise UserError(f"{path}: not a box prior file ({where}: {first['msg']})") from error
    if "*" not in priors.boxes or not priors.reaches or not all(priors.boxes.values()):
        raise UserError(f"{path}: needs boxes for '*', no empty list of boxes, and one reach")
    return priors
