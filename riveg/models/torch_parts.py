"""Networks of which parts are called on their own: encoders of pictures and of texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from riveg.models.torch_loading import load_model
from riveg.models.torch_options import TorchOptions


def load_in_parts(kind: Any, folder: Path, options: TorchOptions, parts: tuple[str, ...]) -> Any:
    """:func:`load_model`, but what is compiled are the parts: those are called, not the whole.

    Args:
        kind: The network's class.
        folder: Its files.
        options: As of :func:`load_model`.
        parts: Names of modules in the network.
    """
    network = load_model(kind, folder, options.model_copy(update={"compile": False}))
    if options.compile:
        for part in parts:
            network.get_submodule(part).compile()
    return network
