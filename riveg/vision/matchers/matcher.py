"""How well texts fit images: what entailers and re-checks of regions ask of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from riveg.vision.runtime.tensors import ImageTensors


class Pair(NamedTuple):
    """An image, by its place in a sequence, and a text."""

    image: int
    text: str


class TextMatcher(Protocol):
    """A network that says how probable it is that a text fits an image."""

    processor: Any
    """Prepares images: an image processor of transformers."""

    most_tokens: int
    """Tokens of a text that are read."""

    def count(self, text: str) -> int:
        """Tokens of a text, special ones included."""

    def probabilities(
        self, images: Sequence[ImageTensors], pairs: Sequence[Pair]
    ) -> Sequence[float]:
        """Of each pair, in [0, 1]; every image is encoded once, however many pairs it is in."""


def four_digits(probability: float) -> float:
    """A probability's four digits that count: those behind them depend on what shared a batch.

    >>> four_digits(0.000123456)
    0.0001235
    """
    return float(f"{probability:.4g}")
