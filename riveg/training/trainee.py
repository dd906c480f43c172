"""What the one training loop asks of a model that can be trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from torch import Tensor, nn

    from riveg.training.batches import Chance

Row = TypeVar("Row")


class Trainee(Protocol[Row]):
    """A network with the rows that it learns from, its loss, and the measure that chooses.

    Everything random comes from the seed that the loop sets, or from ``chance``: only then does a
    training that was interrupted end with the weights of one that was not.
    """

    @property
    def metric(self) -> str:
        """The key of :meth:`evaluate` by which the best epoch is chosen; larger is better."""

    def rows(self) -> Sequence[Row]:
        """What is learnt from, one row an example."""

    def length(self, row: Row, /) -> int:
        """How long a row is: rows of similar length share a batch."""

    def network(self) -> nn.Module:
        """A network to train, at its start; the loop moves it to its device."""

    def batch(self, rows: Sequence[Row], chance: Chance, /) -> Mapping[str, Tensor]:
        """The tensors of some rows, on the CPU; what changes them at random takes ``chance``."""

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor], /) -> Tensor:
        """The mean loss of a batch, a scalar; the batch lies on the network's device."""

    def evaluate(self, network: nn.Module, /) -> Mapping[str, float]:
        """Figures of the network on dev, among them :attr:`metric`."""
