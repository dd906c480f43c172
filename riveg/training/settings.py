"""Training configurations: YAML to a frozen model, with every problem in one error.

A file may hold ``presets``: blocks of other values by name. ``preset: NAME`` lays one over the
rest of the file; what ``--set`` gives lies over both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from riveg.config.yaml_file import Document, InvalidConfig, parse_override

Settings = TypeVar("Settings", bound=BaseModel)


def read_settings(path: Path, kind: type[Settings], overrides: Sequence[str] = ()) -> Settings:
    """Reads and checks a training configuration.

    Args:
        path: The YAML file.
        kind: The model of the configuration.
        overrides: ``key=value`` items that replace the file's; ``a.b=value`` a key below ``a``.

    Raises:
        InvalidConfig: With every problem.
        UserError: If the file or an override cannot be read.
    """
    document = Document.read(path)
    replaced = dict(parse_override(item, "KEY=VALUE") for item in overrides)
    document = document.override(document.values, replaced)
    values = _with_preset(document, replaced.get("preset", document.values.get("preset")))
    for key, value in replaced.items():
        values = _with(values, key.split("."), value)
    document = document.override(values, replaced)
    try:
        settings = kind(**document.values)
    except ValidationError as error:
        problems = document.validation_problems(error, kind)
        raise InvalidConfig([*document.problems, *problems]) from error
    if document.problems:
        raise InvalidConfig(document.problems)
    return settings


def _with_preset(document: Document, name: object) -> dict[str, Any]:
    """The file's values without ``presets``, the named one laid over them."""
    values = dict(document.values)
    blocks = values.pop("presets", None) or {}
    if name is None:
        return values
    block = blocks.get(name) if isinstance(blocks, Mapping) and isinstance(name, str) else None
    if not isinstance(block, Mapping):
        names = blocks if isinstance(blocks, Mapping) else ()
        known = ", ".join(map(str, names)) or "there is none"
        raise InvalidConfig([document.problem("preset", name, f"a block of `presets`: {known}")])
    return _laid_over(values, block)


def _laid_over(values: Mapping[str, Any], block: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, value in block.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = _laid_over(below, value)
        else:
            merged[key] = value
    return merged


def _with(values: Mapping[str, Any], keys: Sequence[str], value: object) -> dict[str, Any]:
    """The values with the one below ``keys`` replaced; what is no mapping on the way gives way."""
    first, *rest = keys
    if not rest:
        return {**values, first: value}
    below = values.get(first)
    return {**values, first: _with(below if isinstance(below, Mapping) else {}, rest, value)}
