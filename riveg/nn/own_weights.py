"""The weights of a network of riveg's own: one file, compared before anything is built of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riveg.errors import UserError
from riveg.files import write_atomically
from riveg.vision.runtime.loading import require_numbers

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHTS = "model.safetensors"


def write_weights(folder: Path, network: nn.Module) -> None:
    """Writes ``model.safetensors``.

    Raises:
        UserError: If the file cannot be written.
    """
    from safetensors.torch import save

    weights = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    # Libraries that write files themselves tell of a full disk in errors of their own.
    write_atomically(folder / WEIGHTS, [save(weights, {"format": "pt"})])


class OwnWeights:
    """The weights of a folder.

    Args:
        folder: With ``model.safetensors``.
        described: The files that say what they are of, as an error names them.

    Raises:
        UserError: If there are no weights.
    """

    def __init__(self, folder: Path, described: str) -> None:
        from safetensors.torch import load_file

        self._path = folder / WEIGHTS
        self._others = f"{self._path}: holds not the weights that {described} describe"
        try:
            self._weights: Mapping[str, Tensor] = load_file(self._path)
        except Exception as error:  # safetensors raises classes of its own
            raise UserError(self._others) from error

    def require(self, parts: Mapping[str, Callable[[], Any]]) -> None:
        """Makes sure that they are of these parts, before those are made: they may need any memory.

        Args:
            parts: What makes each part, by the beginning of its weights' names.

        Raises:
            UserError: If they are not.
        """
        import torch

        with torch.device("meta"):
            for beginning, make in parts.items():
                for name, value in make().state_dict().items():
                    own = self._weights.get(f"{beginning}{name}")
                    if own is None or own.shape != value.shape:
                        raise UserError(self._others)

    def load_into(self, network: nn.Module) -> None:
        """Gives a network these weights, and sets it to evaluation.

        Raises:
            UserError: If they are of another network, or hold what is no number.
        """
        try:
            network.load_state_dict(self._weights)
        except RuntimeError as error:
            raise UserError(self._others) from error
        require_numbers(network, self._path)
        network.eval()
