"""The input of a run: its samples in parts, which are not read again where nothing has changed."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from riveg.datasets.made_of import code_digest
from riveg.errors import UserError
from riveg.files import text_digest
from riveg.formats.manifest import part_count
from riveg.formats.records import decode, encode
from riveg.runs.checks import refuse_missing_images
from riveg.runs.folder import Part, RunFolder, line_digest
from riveg.runs.foreign_scripts import ForeignScripts
from riveg.runs.portion import Portion, Shard
from riveg.runs.progress import Progress
from riveg.runs.sources import DataSource
from riveg.runs.stage_job import issues_of
from riveg.types import Sample

INPUT = "input"
"""Key of the manifest: what the parts of the input were made of, and what they are."""


class _Reading(Protocol):
    """One pass over samples, and what they are made of, if that can be told."""

    @property
    def expected(self) -> str | None: ...

    def __iter__(self) -> Iterator[Sample]: ...

    def digest(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class RunInput:
    """Writes the samples of a run to its folder.

    Args:
        data: Where they come from.
        folder: The run folder.
        part_size: Samples in a part.
        first_images: How many images are looked for before work begins.
        scripts: Looks at every sample.
        progress: Told of every part.
    """

    data: DataSource
    folder: RunFolder
    part_size: int
    first_images: int
    scripts: ForeignScripts
    progress: Progress

    def write(self, portion: Portion) -> tuple[int, int, dict[str, object]]:
        """Writes the samples in parts; their number, that of parts, what the manifest says of them.

        Where the data, how they are read and the parts that are there are what they were, nothing
        is read again. Else a part that is there already and equal is not written. A run folder
        never shrinks: that would throw answers away.

        Raises:
            UserError: If there are no samples, or fewer than the folder holds, or stages need
                images and the first of them are all missing.
        """
        limit, shard = portion.limit, portion.shard
        self.progress.begin("input", limit if shard is None else None)
        started = time.monotonic()
        manifest = self.folder.read_manifest()
        before = manifest.get("samples", 0)
        if limit is not None and limit < before and shard is None:
            raise self._shrunk(before, f"--limit {limit}")
        reading = _reading(self.data)
        made_of = self._made_of(reading.expected, portion)
        if self._is_known(manifest, made_of):
            self._keep(manifest)
            self.progress.end(time.monotonic() - started)
            kept = portion.keys_of(manifest)
            return before, part_count(manifest), {**kept, INPUT: manifest[INPUT]}
        taken = portion.of(reading, self.part_size)
        count, parts, digest = self._read(iter(taken), before)
        if not count:
            raise UserError(f"{self.data.name}: {_nothing(shard, self.part_size)}")
        if count < before:
            raise self._shrunk(before, f"{self.data.name} with {count}")
        self.progress.end(time.monotonic() - started)
        made_of = self._made_of(reading.digest(), portion)
        if made_of is None:
            return count, parts, taken.manifest()
        known = {"made_of": made_of, "parts": digest, "scripts": self.scripts.found}
        return count, parts, {**taken.manifest(), INPUT: known}

    def _made_of(self, data: str | None, portion: Portion) -> str | None:
        """Digest of all that shapes the parts; ``None`` where that cannot be told."""
        if data is None:
            return None
        how = [str(portion), self.part_size, self.scripts.known, code_digest()]
        return text_digest(json.dumps([data, *how]))

    def _is_known(self, manifest: Mapping[str, Any], made_of: str | None) -> bool:
        """Whether the folder holds the parts that the data would be read to."""
        known: Mapping[str, object] = manifest.get(INPUT) or {}
        if made_of is None or known.get("made_of") != made_of:
            return False
        digest = _PartsDigest()
        for index in range(part_count(manifest)):
            content = self.folder.input.content(index)
            if content is None:
                return False
            digest.add(content)
        return known.get("parts") == digest.hexdigest()

    def _keep(self, manifest: Mapping[str, Any]) -> None:
        self.scripts.restore(manifest["samples"], manifest[INPUT].get("scripts", {}))
        lines = self.folder.input.lines()
        shown = (decode(Sample, line) for line in lines if b'"image":' in line)
        first = islice(shown, self.first_images)
        for _ in refuse_missing_images(first, self.data, most=self.first_images):
            pass
        self.progress.keep(manifest["samples"])

    def _read(self, samples: Iterator[Sample], before: int) -> tuple[int, int, str]:
        """How many samples and parts there are, and the digest of the parts."""
        samples = refuse_missing_images(samples, self.data, most=self.first_images)
        count = parts = 0
        digest = _PartsDigest()
        for chunk in _chunks(samples, self.part_size):
            for sample in chunk:
                self.scripts.add(sample)
            part = _input_part(chunk)
            present = self.folder.input.read(parts)
            if present is not None and len(present.lines) > len(part.lines):
                raise self._shrunk(before, f"{self.data.name} with fewer")
            if present != part:
                self.folder.input.write(parts, part)
            digest.add(part.content)
            count += len(part.lines)
            parts += 1
            self.progress.advance(len(part.lines), sum(bool(issues_of(x)) for x in part.lines))
        return count, parts, digest.hexdigest()

    def _shrunk(self, before: int, now: str) -> UserError:
        held = f"a run over {before} samples" if before else "more samples"
        return UserError(
            f"{self.folder.path}: holds {held}, {now} would throw answers away; choose another "
            "--out"
        )


class _PartsDigest:
    """Digest of the files of all parts, in their order."""

    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=16)

    def add(self, content: bytes) -> None:
        """Goes on with the next part."""
        self._digest.update(b"%d\n" % len(content) + content)

    def hexdigest(self) -> str:
        """Of all that were added."""
        return self._digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Untold:
    """One pass over samples of which nobody can tell what they are made of."""

    samples: Iterable[Sample]
    expected: None = None

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def digest(self) -> None:
        return None


def _reading(data: DataSource) -> _Reading:
    read = getattr(data, "reading", None)
    reading: _Reading = _Untold(data.samples()) if read is None else read()
    return reading


def _nothing(shard: Shard | None, size: int) -> str:
    if shard is None:
        return "no samples in it"
    return (
        f"no samples for shard {shard}, as it has fewer than {shard.number} parts of {size}; "
        "make fewer shards, or run.part_size smaller"
    )


def _chunks(samples: Iterator[Sample], size: int) -> Iterator[list[Sample]]:
    while chunk := list(islice(samples, size)):
        yield chunk


def _input_part(samples: list[Sample]) -> Part:
    lines = tuple(encode(sample) for sample in samples)
    return Part.of("input", "", tuple(line_digest(line) for line in lines), lines)
