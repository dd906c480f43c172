"""The records of a run in one file, and those with an Issue in another."""

from __future__ import annotations

import json
from collections.abc import Iterator

from riveg.files import write_atomically
from riveg.formats.records import decode, encode
from riveg.runs.folder import RunFolder, StageFolder
from riveg.runs.stage_job import faults_of
from riveg.types import Sample


def write_records(folder: RunFolder, last: StageFolder, parts: int) -> int:
    """Writes ``records.jsonl`` and ``failed.jsonl`` of a run from the parts of its last stage.

    Returns:
        The number of failed samples.
    """
    lines = _lines_of(last, parts)
    write_atomically(folder.records_path, (line + b"\n" for line in lines), goes_on=True)
    failed = 0

    def rows() -> Iterator[bytes]:
        nonlocal failed
        for line in _lines_of(last, parts):
            if faults_of(line):
                failed += 1
                yield _failed_row(decode(Sample, line))

    write_atomically(folder.failed_path, rows(), goes_on=True)
    return failed


def _failed_row(sample: Sample) -> bytes:
    """A line of ``failed.jsonl``: the sample's id, image, and every Issue with its reason."""
    issues = [json.loads(encode(issue)) for issue in sample.issues]
    image = sample.image.path if sample.image else None
    return json.dumps({"id": sample.id, "image": image, "issues": issues}).encode() + b"\n"


def _lines_of(folder: StageFolder, parts: int) -> Iterator[bytes]:
    for index in range(parts):
        part = folder.read(index)
        yield from part.lines if part else ()
