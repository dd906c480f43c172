"""How well texts fit pictures: what entailers and re-checks of regions ask of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from riveg.models.torch_options import TorchOptions

if TYPE_CHECKING:
    from riveg.models.picture_tensors import PictureTensors


class Pair(NamedTuple):
    """A picture, by its place in a sequence, and a text."""

    picture: int
    text: str


class TextMatcher(Protocol):
    """A network that says how probable it is that a text fits a picture."""

    processor: Any
    """Prepares pictures: an image processor of transformers."""

    most_tokens: int
    """Tokens of a text that are read."""

    def count(self, text: str) -> int:
        """Tokens of a text, special ones included."""

    def probabilities(
        self, pictures: Sequence[PictureTensors], pairs: Sequence[Pair]
    ) -> Sequence[float]:
        """Of each pair, in [0, 1]; every picture is encoded once, however many pairs it is in."""


MatcherName = Literal["siglip", "itm"]


class Usual(NamedTuple):
    """A matcher's usual model, its licence, and from which probability on a text fits."""

    model: str
    licence: str
    threshold: float


USUAL: Mapping[str, Usual] = {
    # The sigmoid's probabilities are small: it was taught to find one picture among thousands.
    "siglip": Usual("google/siglip2-base-patch16-224", "apache-2.0", 0.1),
    "itm": Usual("Salesforce/blip-itm-base-coco", "bsd-3-clause", 0.5),
}
"""What is taken where a configuration does not say, by matcher."""


def load_matcher(name: MatcherName, folder: Path, options: TorchOptions) -> TextMatcher:
    """The matcher of a model's folder.

    Raises:
        UserError: If the folder holds no such model.
    """
    if name == "itm":
        from riveg.models.itm_matcher import load_itm_matcher

        return load_itm_matcher(folder, options)
    from riveg.models.siglip_matcher import load_siglip_matcher

    return load_siglip_matcher(folder, options)


def four_digits(probability: float) -> float:
    """A probability's four digits that count: those behind them depend on what shared a batch.

    >>> four_digits(0.000123456)
    0.0001235
    """
    return float(f"{probability:.4g}")
