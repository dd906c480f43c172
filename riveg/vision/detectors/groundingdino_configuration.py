"""Sizes of a GroundingDINO as its authors' package writes them: a Python file, here never run."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from riveg.errors import UserError
from riveg.files import read_regular_text

ARCHITECTURES = {"swin-t": "GroundingDINO_SwinT_OGC.py", "swin-b": "GroundingDINO_SwinB_cfg.py"}
"""Configurations that the package brings, for the two published checkpoints."""


def configuration_file(architecture: str, base: Path) -> Path:
    """Where a network's sizes are written: in the package, or in a file of the user's.

    Args:
        architecture: ``swin-t``, ``swin-b`` or a file.
        base: Where a relative path starts.

    Raises:
        UserError: If there is no such file.
    """
    path = base / architecture
    if architecture in ARCHITECTURES:
        found = find_spec("groundingdino")
        folder = Path(found.origin).parent if found and found.origin else Path()
        path = folder / "config" / ARCHITECTURES[architecture]
    if not path.is_file():
        names = ", ".join(ARCHITECTURES)
        raise UserError(f"architecture {architecture}: expected {names} or a file, found none")
    return path


def read_configuration(path: Path) -> dict[str, Any]:
    """The values that a configuration file of the package gives to names; nothing in it is run.

    Raises:
        UserError: If it holds anything but ``name = value``.
    """
    try:
        lines = ast.parse(read_regular_text(path)).body
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"{path}: cannot be read as a configuration: {error}") from error
    found = {}
    for line in lines:
        match line:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found[name] = _literal(value, path)
            case _:
                raise UserError(f"{path}, line {line.lineno}: expected name = value alone")
    return found


def _literal(value: ast.expr, path: Path) -> Any:
    try:
        return ast.literal_eval(value)
    except ValueError as error:
        raise UserError(
            f"{path}, line {value.lineno}: expected a number, a text, or a list of such"
        ) from error
