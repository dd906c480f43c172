"""How well texts fit images: the protocol of networks for entailers and re-checks of regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from riveg.vision.runtime.tensors import ImageTensors


class Pair(NamedTuple):
    """An image, by its index in a sequence, and a text."""

    image: int
    text: str


class TextMatcher(Protocol):
    """A network that says how probable it is that a text fits an image."""

    processor: Any
    """Prepares images: an image processor of transformers."""

    most_tokens: int
    """Highest number of tokens of a text."""

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, special ones included."""

    def probabilities(
        self, images: Sequence[ImageTensors], pairs: Sequence[Pair]
    ) -> Sequence[float]:
        """Of each pair, in [0, 1]; every image is encoded once, however many pairs it is in.

        *Shape:* each image's tensors ``(1, ...)``, as :func:`~riveg.vision.runtime.tensors.
        image_tensors` gives them.
        """


def four_digits(probability: float) -> float:
    """A probability with four significant digits; further ones depend on the rest of the batch.

    >>> four_digits(0.000123456)
    0.0001235
    """
    return float(f"{probability:.4g}")
