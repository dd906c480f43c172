"""The command that repeats a run with something changed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from riveg.config.reader import load_config
from riveg.config.system import shipped_systems
from riveg.datasets.joined import joined_name
from riveg.datasets.opening import table_name
from riveg.errors import UserError
from riveg.runs.folder import RunFolder
from riveg.stages.table import STAGES


def run_settings(folder: Path) -> Mapping[str, Any]:
    """The resolved system of a run: its ``config.yaml``.

    Raises:
        UserError: If there is none.
    """
    path = folder / "config.yaml"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read; is {folder} a run folder?") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: is no system; give the run again")
    return values


def rerun_command(folder: Path, *overrides: str, suffix: str) -> str:
    """``riveg run`` with the run's own system and data, and with ``--set`` for each override.

    Args:
        folder: The run folder.
        overrides: ``stage.key=value`` items.
        suffix: Is appended to the name of the run folder.
    """
    manifest = RunFolder(folder).read_manifest()
    words = ["riveg", "run", _system(folder), *_data_words(manifest)]
    if manifest.get("limit"):
        words += ["--limit", str(manifest["limit"])]
    until = _last_stage(folder, manifest)
    if until is not None:
        words += ["--until", until]
    for override in overrides:
        words += ["--set", override]
    words += ["--out", f"{folder}-{suffix}"]
    return shlex.join(words)


def _last_stage(folder: Path, manifest: Mapping[str, Any]) -> str | None:
    """The stage after which a run stopped, where its system has later stages."""
    ran, settings = list(manifest.get("stages", {})), run_settings(folder)
    named = [stage.name for stage in STAGES if stage.name in settings]
    return ran[-1] if ran and named and ran[-1] != named[-1] else None


def _system(folder: Path) -> str:
    """The name of the shipped system where the run used it unchanged, else the run's own file."""
    settings = dict(run_settings(folder))
    name = settings.get("name")
    if name in shipped_systems() and load_config(str(name)).resolved() == settings:
        return str(name)
    return str(folder / "config.yaml")


def _data_words(manifest: Mapping[str, Any]) -> Iterator[str]:
    """The options that name the data: files with columns as they were given, or a dataset."""
    files = [str(file) for file in manifest.get("origin") or []]
    names = [name for file in files if (name := table_name(Path(file)))]
    if not names or len(names) < len(files) or joined_name(names) != manifest.get("data"):
        yield from ("--data", str(manifest.get("data")))
        if manifest.get("split"):
            yield from ("--split", str(manifest["split"]))
        return
    for file in files:
        yield from ("--data", file)
    for own, theirs in manifest.get("columns", {}).items():
        yield from ("--column", f"{own}={theirs or ''}")
