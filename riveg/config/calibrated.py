"""Numbers found by a calibration, which a configuration names: ``threshold: "@NAME"``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riveg.errors import UserError
from riveg.files import file_digest
from riveg.formats.json_files import read_json

KIND = "calibration"
SCHEMA = 1
FOLDER = "artifacts"
"""Folder that artifacts are looked up in by name."""
SIGN = "@"


@dataclass(frozen=True, slots=True)
class Artifact:
    """What ``riveg calibrate`` wrote: numbers, and the backends they were found for.

    Args:
        path: The file.
        digest: Of its bytes.
        name: Its name.
        values: Numbers by ``stage.key``.
        backends: Names by stage, and by ``ground.recheck`` of the network in a part.
    """

    path: Path
    digest: str
    name: str
    values: Mapping[str, float]
    backends: Mapping[str, str]

    def value(self, key: str, backends: Mapping[str, str]) -> float:
        """The number for a key of a system.

        Args:
            key: For example ``entail.threshold``.
            backends: The system's, by the stage or part that the key stands below.

        Raises:
            UserError: If the artifact has no such number, or it belongs to another backend.
        """
        if key not in self.values:
            known = ", ".join(self.values) or "nothing"
            raise UserError(f"{self.path}: has no {key}, only {known}")
        for place, backend in backends.items():
            meant = self.backends.get(place, backend)
            if meant != backend:
                raise UserError(
                    f"{self.path}: its {key} was found for {place}: {meant}, not for {backend}; "
                    "calibrate a run of this system"
                )
        return self.values[key]


@dataclass(frozen=True, slots=True)
class ArtifactValue:
    """A number of a system that came from an artifact: which key, and which file."""

    key: str
    name: str
    path: str
    digest: str
    value: float


def is_reference(value: Any) -> bool:
    """Whether a value of a configuration names an artifact."""
    return isinstance(value, str) and value.startswith(SIGN)


def find_artifact(reference: str, folders: Sequence[Path]) -> Artifact:
    """The artifact that ``@NAME`` means.

    Args:
        reference: ``@`` and a name, which is looked up as ``artifacts/NAME.json``; with a slash or
            the ending ``.json`` it is a path.
        folders: Where both start, looked up in order.

    Raises:
        UserError: If there is none, or the file is no calibration.
    """
    name = reference.removeprefix(SIGN)
    is_path = "/" in name or name.endswith(".json")
    below = Path(name) if is_path else Path(FOLDER) / f"{name}.json"
    places = list(dict.fromkeys(folder / below for folder in folders))
    for place in places:
        if name and place.is_file():
            return read_artifact(place)
    if not name:
        raise UserError("expected an artifact's name after the @; `riveg calibrate` makes them")
    looked = " or ".join(map(str, places))
    raise UserError(f"no artifact {looked}; `riveg calibrate` makes them")


def read_artifact(path: Path) -> Artifact:
    """Reads a calibration.

    Raises:
        UserError: If the file is none, is of another schema, or holds what is no number.
    """
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: is no artifact ({' '.join(str(error).split())})") from error
    kind = content.get("kind") if isinstance(content, dict) else None
    if kind != KIND:
        raise UserError(f"{path}: expected an artifact of the kind {KIND!r}, found {kind!r:.60}")
    if content.get("schema") != SCHEMA:
        found = content.get("schema")
        raise UserError(f"{path}: expected schema {SCHEMA}, found {found!r:.60}; calibrate anew")
    values, backends = content.get("values"), content.get("backends", {})
    if not _is_numbers(values) or not _is_texts(backends):
        raise UserError(f"{path}: its values are not numbers by key; calibrate anew")
    name = content.get("name")
    digest = file_digest(path)
    return Artifact(path, digest, name if isinstance(name, str) else path.stem, values, backends)


def _is_numbers(values: Any) -> bool:
    return isinstance(values, dict) and all(
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        for value in values.values()
    )


def _is_texts(values: Any) -> bool:
    return isinstance(values, dict) and all(isinstance(value, str) for value in values.values())
