"""The records of a run in one file, and those with an Issue in another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from riveg.files import replacing, write_atomically, writing
from riveg.formats.records import decode, encode
from riveg.runs.folder import RunFolder, StageFolder
from riveg.runs.stage_job import faults_of
from riveg.types import Sample


@dataclass(slots=True)
class Written:
    """What the records of a run are: how many have failed, and the entities of all."""

    failed: int = 0
    entities: int = 0


def write_records(folder: RunFolder, last: StageFolder, parts: int) -> Written:
    """Writes ``records.jsonl`` and ``failed.jsonl`` of a run from the parts of its last stage."""
    written = Written()
    path = folder.failed_path

    def rows(failed: IO[bytes]) -> Iterator[bytes]:
        for line in _lines_of(last, parts):
            written.entities += count_entities(line)
            if faults_of(line):
                written.failed += 1
                failed.write(_failed_row(decode(Sample, line)))
            yield line + b"\n"

    with (
        writing(path, goes_on=True),
        replacing(path) as temporary,
        temporary.open("wb") as failed,
    ):
        write_atomically(folder.records_path, rows(failed), goes_on=True)
    return written


def count_entities(line: bytes) -> int:
    """The entities of a record line, which is not parsed."""
    # Only the record and its entities begin with an id, and a quote inside a text is escaped.
    return line.count(b'{"id":"') - 1


def _failed_row(sample: Sample) -> bytes:
    """A line of ``failed.jsonl``: the sample's id, image, and every Issue with its reason."""
    issues = [json.loads(encode(issue)) for issue in sample.issues]
    image = sample.image.path if sample.image else None
    return json.dumps({"id": sample.id, "image": image, "issues": issues}).encode() + b"\n"


def _lines_of(folder: StageFolder, parts: int) -> Iterator[bytes]:
    for index in range(parts):
        part = folder.read(index)
        yield from part.lines if part else ()
