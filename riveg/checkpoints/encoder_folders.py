"""Where a text encoder to start from lies: a folder, an installed package, the hub's cache."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from riveg.checkpoints.folders import base_model_folder
from riveg.errors import UserError, pip_install

_PACKAGE = "package:"


def encoder_folder(model: str, revision: str | None = None, base: Path = Path()) -> Path:
    """The folder with an encoder's files.

    Args:
        model: A folder; ``package:NAME`` for a Python package with a function ``get_model_path``;
            or the id of a model that was fetched from the hub.
        revision: The pinned commit of an id.
        base: Where a relative folder starts.

    Raises:
        UserError: If it is not there, or holds no ``config.json``; says how to get it.
    """
    if model.startswith(_PACKAGE):
        folder = _of_package(model.removeprefix(_PACKAGE))
    else:
        folder = base_model_folder(model, revision, base)
    if not (folder / "config.json").is_file():
        raise UserError(f"model: {folder} holds no encoder (no config.json)")
    return folder


def _of_package(name: str) -> Path:
    try:
        return Path(import_module(name).get_model_path())
    except ImportError as error:
        command = pip_install(f"--no-deps {name.replace('_', '-')}")
        raise UserError(f"model: the Python package {name} is not here: {command}") from error
    except AttributeError as error:
        raise UserError(
            f"model: the Python package {name} carries no encoder (it has no get_model_path)"
        ) from error
