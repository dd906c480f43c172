"""Where a model's files are, a folder or the hub's cache, and which of them are used."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

from pydantic import BaseModel, Field

from riveg.errors import MissingExtra, MissingModel, UntrainedModel, UserError, reason
from riveg.files import file_digest
from riveg.formats.json_files import checked, read_json

EXTRA = "models"
"""The extra that brings torch, transformers and the hub's library."""

FETCHED = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
"""Files of a model that are downloaded: weights that cannot run code, vocabularies, settings."""

PICKLED = "pytorch_model*.bin"
"""Weights of models that were never published as safetensors: pickles, read as tensors only."""

_IGNORED = ("*/*",)
"""Files that are not downloaded: subfolders have the same weights for other libraries."""

_SHAPING = ("*.safetensors", "*.json", "*.txt", "*.model")
"""Files of a model folder that shape its answers."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """One model of the hub, or a local one, that a backend loads.

    ``setting`` is the field that names it. ``files``: the exact names of the files that are used,
    the most important one first; ``()`` for all files that transformers loads a model from.
    ``trained_by``: the command that makes it; ``None`` for a published model.
    """

    model: str
    revision: str | None = None
    licence: str | None = None
    gated: bool = False
    setting: str = "model"
    files: tuple[str, ...] = ()
    trained_by: str | None = None


@runtime_checkable
class LoadsModels(Protocol):
    """A configuration whose backend loads models from disk."""

    def model_files(self) -> tuple[ModelFiles, ...]:
        """Every model that the backend loads."""


def model_folder(model: ModelFiles, base: Path) -> Path:
    """The folder with a model's files: a local one, or that of the hub's cache.

    Args:
        model: Its id or folder, and revision.
        base: Where a relative folder starts.

    Raises:
        UserError: If the model is not there; the message says how to get it.
    """
    local = base / model.model
    if model.trained_by is not None and not local.is_dir():
        raise untrained(model, base)
    found = local if local.is_dir() else _cached(model)
    if model.files and not (found / model.files[0]).is_file():
        raise UserError(f"{found}: expected a file {model.files[0]} in it ({model.setting})")
    return found


def base_model_folder(model: str, revision: str | None, base: Path = Path()) -> Path:
    """The folder of a model that a training starts from.

    Args:
        model: A folder, or the id of a model that was fetched from the hub.
        revision: The pinned commit of an id.
        base: Where a relative folder starts.

    Raises:
        UserError: If the model is not there; says how to get it.
    """
    try:
        return model_folder(ModelFiles(model, revision), base)
    except MissingModel as error:
        pinned = f" --revision {revision}" if revision else ""
        raise UserError(
            f"model: {model} is neither a folder nor in the cache of the hub; "
            f"`hf download {model}{pinned}` gets it"
        ) from error


def model_file(model: ModelFiles, base: Path) -> Path:
    """The first of a model's files; ``model`` may also be the path of that file.

    Args:
        model: A model with at least one file.
        base: Where a relative path starts.

    Raises:
        UserError: If it is not there; the message says how to get it.
    """
    local = base / model.model
    return local if local.is_file() else model_folder(model, base) / model.files[0]


def files_to_fetch(model: ModelFiles, *more: str) -> dict[str, Any]:
    """Which files of a model are downloaded, as arguments for the hub's library.

    Args:
        model: The model.
        *more: Patterns of further files, for a model that names none.
    """
    if model.files:
        return {"allow_patterns": [*model.files]}
    return {"allow_patterns": [*FETCHED, *more], "ignore_patterns": [*_IGNORED]}


def has_only_pickles(folder: Path) -> bool:
    """Whether a model's folder has weights, but no safetensors."""
    return not any(folder.glob("*.safetensors")) and any(folder.glob(PICKLED))


def _cached(model: ModelFiles) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtra("a model of the hub", "huggingface_hub", EXTRA) from error
    try:
        # `riveg fetch` downloads only these files; without the patterns the hub's library would
        # call such a model incomplete.
        found = snapshot_download(
            model.model,
            revision=model.revision,
            local_files_only=True,
            **files_to_fetch(model),
        )
    except HFValidationError as error:
        raise UserError(_not_here(model)) from error
    except (LocalEntryNotFoundError, FileNotFoundError) as error:
        raise MissingModel(_not_here(model)) from error
    if model.files and not (Path(found) / model.files[0]).is_file():
        raise MissingModel(_not_here(model))
    return Path(found)


def untrained(model: ModelFiles, base: Path) -> UntrainedModel:
    """The error of a model of one's own that is not there; says how to make it."""
    return UntrainedModel(
        f"{model.setting} {os.path.relpath(base / model.model)}: not there, and nobody has "
        f"published it; make it with `{model.trained_by}`"
    )


def _not_here(model: ModelFiles) -> str:
    name = f"{model.model} ({model.files[0]})" if model.files else model.model
    return (
        f"{model.setting} {name}: neither a folder nor in the cache of the hub "
        f"({cache_name()}); `riveg fetch SYSTEM` gets a system's models, --list shows them"
    )


def cache_name() -> str:
    """Where the hub's cache is, for messages."""
    return os.environ.get("HF_HOME", "~/.cache/huggingface")


def model_contents(folder: Path) -> Mapping[str, str]:
    """A backend's ``contents``: digests of the files of a model's folder that shape its answers."""
    patterns = (*_SHAPING, PICKLED) if has_only_pickles(folder) else _SHAPING
    files = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    try:
        return {path.name: file_digest(path) for path in files}
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror})") from error


_MOST_PARTS = 1000
"""Layers and the like of a network; a library makes each, whether there are weights or not."""

_LARGEST = 1 << 24
"""Of the numbers in a ``config.json``: words, positions, sides."""

_LONGEST_SIDE = 4096
"""Pixels of a picture as a network sees it; usual are 224 to 1333."""

_IS_SIDE = re.compile(r"^(?:height|width|(?:shortest|longest)_edge)$")
_COUNTS_PARTS = re.compile(r"layers?$|depths?$|blocks$|stages$|experts$")


_AREAS_FOR_EDGES = re.compile(r"^(?:Qwen2|Qwen3|Glm4|Glm46)V")
"""Image processors whose "edges" are areas in pixels."""


def _require_bounded_sizes(values: object, path: Path, key: str = "") -> None:
    """Refuses settings of a network, or of its pictures, that no machine could make.

    Raises:
        UserError: If one of them is too large; names it.
    """
    inner = values if isinstance(values, dict) else {}
    has_areas = _AREAS_FOR_EDGES.match(str(inner.get("image_processor_type")))
    for name, value in inner.items():
        if not (has_areas and name == "size"):
            _require_bounded_sizes(value, path, str(name))
            continue
        for area in value.values() if isinstance(value, dict) else [value]:
            _require_bounded_sizes(area, path, f"{name} in pixels")
    for value in values if isinstance(values, list) else ():
        _require_bounded_sizes(value, path, key)
    most = _MOST_PARTS if _COUNTS_PARTS.search(key) else _LARGEST
    most = _LONGEST_SIDE if _IS_SIDE.search(key) else most
    if isinstance(values, int) and values > most:
        raise UserError(f"{path}: {key!r:.80}: expected at most {most}, found {values!r:.40}")


_SIZED = ("config.json", "preprocessor_config.json", "processor_config.json")


class Shards(BaseModel):
    """An index of weights that lie in several files, each beside the index."""

    weight_map: dict[str, Annotated[str, Field(pattern=r"^[^/\\]+$")]]


def require_own_files(folder: Path) -> None:
    """Makes sure that a model's settings can be read, and name no weights of another folder.

    Raises:
        UserError: If they do, or one of them is no regular file, nested too deeply, or not JSON,
            or the network would be larger than any.
    """
    for path in sorted(folder.glob("*.json")):
        if path.name == "tokenizer.json":  # tens of megabytes; its own reader bounds the nesting
            continue
        try:
            values = read_json(path)
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read as JSON ({reason(error)})") from error
        if path.name in _SIZED:
            _require_bounded_sizes(values, path)
        if path.name.endswith(".index.json"):
            checked(Shards, values, f"{path}: is no index of weights")
