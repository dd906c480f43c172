"""How well texts fit images: the protocol of networks for entailers and re-checks of regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    import torch

    from riveg.vision.runtime.tensors import ImageTensors

Tower = Literal["vision", "text"]
"""A part of a network that can be left as it is when the network is trained."""


class Pair(NamedTuple):
    """An image, by its index in a sequence, and a text."""

    image: int
    text: str


class TextMatcher(Protocol):
    """A network that says how probable it is that a text fits an image.

    ``network`` lies on the device that answers are computed on. ``tokenizer`` is of its texts,
    ``processor`` prepares its images (an image processor of transformers). ``most_tokens`` is the
    highest number of tokens of a text. ``towers``: what the names of the parameters of each begin
    with; ``unused``: of those that no answer depends on.
    """

    network: Any
    tokenizer: Any
    processor: Any
    most_tokens: int
    towers: Mapping[Tower, tuple[str, ...]]
    unused: tuple[str, ...]

    def with_network(self, network: Any) -> Self:
        """The same around another network of its kind."""

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, special ones included."""

    def words(self, texts: Sequence[str]) -> Mapping[str, torch.Tensor]:
        """Texts as the network reads them, on the CPU.

        *Shape:* each tensor ``(texts, tokens)``.
        """

    def log_odds(
        self, images: ImageTensors, words: Mapping[str, torch.Tensor], places: torch.Tensor
    ) -> torch.Tensor:
        """Of each pair, from which the network can learn; all on the network's device.

        *Shape:* images' tensors ``(images, ...)``, words' ``(pairs, tokens)``, places and result
        ``(pairs,)``.

        Args:
            images: Distinct images.
            words: The text of each pair.
            places: The image of each pair, by its index.
        """

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
