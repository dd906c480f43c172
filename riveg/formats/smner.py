"""An SMNER batch on disk: an index, and a JSON file a sample with boxes, masks and spans."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from riveg.errors import UserError, reason
from riveg.files import numbered_name
from riveg.formats.json_files import checked, read_json
from riveg.formats.manifest import Checked, RunKeys
from riveg.formats.records import decode
from riveg.types import Sample

SCHEMA = "riveg-smner"
VERSION = 1
INDEX = "index.json"
SAMPLES = "samples"

_EDGES = ("x_min", "y_min", "x_max", "y_max")


class _File(Checked):
    id: str


class _Index(RunKeys):
    files: list[_File] = Field(default_factory=list)


def read_index(folder: Path) -> dict[str, Any]:
    """The batch's index: ``system``, ``data``, ``split``, ``counts``, ``files`` ...

    Raises:
        UserError: If the folder holds no such batch, or one of another version.
    """
    path = folder / INDEX
    try:
        index = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); `riveg export RUN --format smner` writes it"
        ) from error
    if not isinstance(index, dict) or index.get("schema") != SCHEMA:
        raise UserError(f"{path}: is no index of an SMNER batch")
    version = index.get("version")
    if type(version) is not int or version != VERSION:
        raise UserError(
            f"{path}: is of version {version!r:.40}, this riveg reads {VERSION}; "
            "export the run again"
        )
    # What the run did not say is null in the index.
    said = {key: value for key, value in index.items() if value is not None}
    checked(_Index, said, f"{path}: is no index of an SMNER batch")
    return said


def read_smner(folder: Path) -> Iterator[Sample]:
    """The exported records: equal to those of the run, in the same order.

    Raises:
        UserError: If the folder holds no such batch or a file in it is missing or damaged.
    """
    for number, entry in enumerate(read_index(folder).get("files", [])):
        path = folder / SAMPLES / sample_file(number, str(entry["id"]))
        try:
            values = read_json(path)
            line = json.dumps(_record(values))
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"{path}: is no sample of an SMNER batch ({reason(error)})") from error
        yield decode(Sample, line, where=str(path))


def sample_file(number: int, sample_id: str) -> str:
    """The name of a sample's file below :data:`SAMPLES`; ``number``: its place in the run."""
    return numbered_name(number, sample_id, ".json")


def _record(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document as a record of riveg, without the keys that can be derived from the record."""
    values = dict(document)
    entities = values.pop("entities")
    if values["image"] is None:
        del values["image"]
    if entities is not None:
        values["entities"] = [_entity_record(entity) for entity in entities]
    return values


def _entity_record(document: Mapping[str, Any]) -> dict[str, Any]:
    values = {
        key: value for key, value in document.items() if key not in ("characters", "groundable")
    }
    start, end = values["span"]
    values["span"] = {"start": start, "end": end}
    if values["regions"] is not None:
        values["regions"] = [_region_record(region) for region in values["regions"]]
    return values


def _region_record(document: Mapping[str, Any]) -> dict[str, Any]:
    edges = dict(zip(_EDGES, document["box"], strict=True))
    mask = document["mask"]
    if mask is not None:
        height, width = mask["size"]
        mask = {
            "height": height,
            "width": width,
            "counts": mask["counts"],
            "source": mask["source"],
        }
    return {**document, "box": edges, "mask": mask}
