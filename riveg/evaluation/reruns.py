"""The command that repeats a run with something changed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from riveg.config.reader import load_config
from riveg.config.system import shipped_systems
from riveg.config.yaml_file import Document
from riveg.datasets.joined import joined_name
from riveg.datasets.opening import table_name
from riveg.errors import UserError
from riveg.files import file_digest
from riveg.formats.json_files import checked
from riveg.formats.run_records import CONFIG, CONFIG_DIGEST, finished_manifest, read_manifest
from riveg.stages.table import STAGES


def run_settings(folder: Path) -> Mapping[str, Any]:
    """The resolved system of a run: its ``config.yaml``.

    Raises:
        UserError: If there is none, it is no system, or not the one that the run had.
    """
    path = folder / CONFIG
    try:
        values = Document.read(path).values
    except UserError as error:
        raise UserError(f"{error}; is {folder} a run folder?") from error
    own = read_manifest(folder).get(CONFIG_DIGEST)
    if own is not None and file_digest(path) != own:
        raise UserError(f"{path}: is not what the run had; give the run again")
    blocks = {stage.name: values[stage.name] for stage in STAGES if stage.name in values}
    for name, block in blocks.items():
        checked(_Block, block, f"{path}: is no system; give the run again: {name}")
    return values


class _Recheck(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    matcher: str
    threshold: float


class _Block(BaseModel):
    """What is read of a stage's settings in the ``config.yaml`` of a run."""

    model_config = ConfigDict(allow_inf_nan=False)

    backend: str
    threshold: float | None = None
    box_threshold: float | None = None
    recheck: _Recheck | None = None


def rerun_command(folder: Path, *overrides: str, suffix: str, until: str | None = None) -> str:
    """``riveg run`` with the run's own system and data, and with ``--set`` for each override.

    Args:
        folder: The run folder.
        overrides: ``stage.key=value`` items.
        suffix: Is appended to the name of the run folder.
        until: The last stage; where the run itself stopped for ``None``.
    """
    manifest = finished_manifest(folder)
    words = ["riveg", "run", _system(folder), *_data_words(manifest)]
    if manifest.get("limit"):
        words += ["--limit", str(manifest["limit"])]
    until = until or _last_stage(folder, manifest)
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
    return str(folder / CONFIG)


def _data_words(manifest: Mapping[str, Any]) -> Iterator[str]:
    """The options that name the data: files with columns as they were given, or a dataset."""
    described = manifest.get("data_file")
    files = [str(file) for file in manifest.get("origin") or []]
    names = [name for file in files if (name := table_name(Path(file)))]
    is_plain = names and len(names) == len(files) and joined_name(names) == manifest.get("data")
    if described is not None or not is_plain:
        yield from ("--data", str(described or manifest.get("data")))
        if manifest.get("split"):
            yield from ("--split", str(manifest["split"]))
        return
    for file in files:
        yield from ("--data", file)
    for own, theirs in manifest.get("columns", {}).items():
        yield from ("--column", f"{own}={theirs or ''}")
