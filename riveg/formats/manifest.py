"""What a run's ``manifest.json`` says, checked before anything is done with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from riveg.errors import UserError
from riveg.formats.accounts import Account
from riveg.formats.json_files import checked
from riveg.types import OLDEST_SCHEMA, SCHEMA_VERSION

_MOST = 2**53
"""Whole numbers above it are not exact everywhere."""


class Checked(BaseModel):
    """A part of a JSON document, strict on types and numbers."""

    # Later versions of riveg add keys to a manifest of the same schema.
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class _Stage(Checked):
    backend: str
    fingerprint: str | None = None
    contents: dict[str, str] = {}


class _Input(Checked):
    """What a run's input was made of, and what it was made to."""

    made_of: str
    parts: str
    scripts: dict[str, dict[str, int]] = {}


class RunKeys(Checked):
    """The keys that riveg reads; a stage's name is a part of a folder's name."""

    samples: int = Field(ge=0, le=_MOST)
    system: str | None = None
    data: str | None = None
    origin: list[str] = []
    data_file: str | None = None
    columns: dict[str, str | None] = {}
    part_size: int = Field(default=1, ge=1, le=_MOST)
    labels: list[str] = []
    data_version: str | None = None
    split: str | None = None
    image_roots: list[str] = []
    input: _Input | None = None
    limit: int | None = Field(default=None, ge=0, le=_MOST)
    shard: str = ""
    shared_out: str = ""
    failed: int = Field(default=0, ge=0, le=_MOST)
    started: float | None = None
    finished: float | None = None
    records_digest: str | None = None
    config_digest: str | None = None
    artifacts: dict[str, dict[str, Any]] = {}
    models: dict[str, dict[str, Any]] = {}
    oracle_stages: list[str] = []
    stages: dict[str, _Stage] = {}
    packages: dict[str, str | None] = {}
    seconds: dict[str, float] = {}
    workers: dict[str, int] = {}
    accounts: dict[str, list[Account]] = {}
    out_of_memory: dict[str, list[dict[str, Any]]] = {}
    notes: list[str] = []
    python: str | None = None


def checked_manifest(values: object, where: str) -> dict[str, Any]:
    """The manifest, as it stands in its file.

    Raises:
        UserError: If it is none, or of another schema version; one line that begins with ``where``.
    """
    if isinstance(values, dict) and "schema" in values:
        # At first: of another schema, the other keys may mean something else.
        require_schema(values["schema"], where)
    advice = f"{where}: is no manifest of a run; remove it, the run makes it anew"
    manifest = checked(RunKeys, values, advice)
    bad = next((name for name in manifest.stages if not name.replace("_", "").isalnum()), None)
    if bad is not None or not isinstance(values, dict):
        raise UserError(f"{advice}: stages: {bad!r:.80} is no name of a stage")
    require_schema(values.get("schema"), where)
    return values


def part_count(manifest: Mapping[str, Any]) -> int:
    """How many parts each stage of a run has once it is done."""
    count: int = -(-manifest["samples"] // manifest.get("part_size", 1))
    return count


def require_schema(found: object, where: str) -> None:
    """Makes sure that a file of records is of a schema that this riveg knows.

    Raises:
        UserError: If it is of another.
    """
    if type(found) is not int or not OLDEST_SCHEMA <= found <= SCHEMA_VERSION:
        raise UserError(
            f"{where}: is of schema {found!r:.40}, this riveg reads {OLDEST_SCHEMA} to "
            f"{SCHEMA_VERSION}; use the riveg that wrote it, or a new run folder"
        )
