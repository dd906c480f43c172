"""Training configurations: YAML to a frozen model, every problem said at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from riveg.config import Document, InvalidConfig
from riveg.errors import UserError

Settings = TypeVar("Settings", bound=BaseModel)


def read_settings(path: Path, kind: type[Settings], overrides: Sequence[str] = ()) -> Settings:
    """Reads and checks a training configuration.

    Args:
        path: The YAML file.
        kind: What it has to be.
        overrides: ``key=value`` items that replace the file's.

    Raises:
        InvalidConfig: With every problem.
        UserError: If the file or an override cannot be read.
    """
    document = Document.read(path)
    values = dict(document.values)
    for item in overrides:
        key, separator, text = item.partition("=")
        if not separator:
            raise UserError(f"--set {item}: expected KEY=VALUE")
        values[key] = yaml.safe_load(text)
    try:
        settings = kind(**values)
    except ValidationError as error:
        problems = document.validation_problems(error, kind)
        raise InvalidConfig([*document.problems, *problems]) from error
    if document.problems:
        raise InvalidConfig(document.problems)
    return settings
