"""The run folder: parts written whole or not at all, a lock, a manifest."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from riveg.errors import UserError
from riveg.files import PARTIAL, make_folder, open_regular, read_regular, write_atomically, writing
from riveg.formats.manifest import require_schema
from riveg.formats.records import decode
from riveg.formats.run_records import MANIFEST, RECORDS, read_manifest
from riveg.types import SCHEMA_VERSION

_LOCK = ".lock"

PREDICTIONS = "predictions.jsonl"
"""File of a run folder with the predictions that its run went on from; written before the run."""

_WRITTEN = (_LOCK, "overlays", "answers.sqlite*", "logs", "logs/*", "[0-9]*-*", "[0-9]*-*/part-*")
"""What a run opens or writes into by name; other files are replaced, links and all."""
_MOST_PART_BYTES = 1 << 32
_MOST_HEADER_BYTES = 1 << 26
_TRIES_TO_LOCK = 3


@dataclass(frozen=True, slots=True)
class PartHeader:
    """First line of a part.

    ``inputs`` are digests of what the records were made from, ``outputs`` of the records, in order;
    ``reads`` of what the answers depend on, where the stage's backend says what it reads.
    """

    schema: int
    stage: str
    fingerprint: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    reads: tuple[str, ...] = ()

    def line(self) -> bytes:
        """As it is written; what is empty is left out."""
        values = {name: value for name, value in asdict(self).items() if name != "reads" or value}
        return json.dumps(values, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Part:
    """A part's header and its record lines, without newlines."""

    header: PartHeader
    lines: tuple[bytes, ...]

    @classmethod
    def of(
        cls,
        stage: str,
        fingerprint: str,
        inputs: tuple[str, ...],
        lines: tuple[bytes, ...],
        reads: tuple[str, ...] = (),
    ) -> Part:
        """A part with its header."""
        outputs = tuple(line_digest(line) for line in lines)
        return cls(PartHeader(SCHEMA_VERSION, stage, fingerprint, inputs, outputs, reads), lines)

    @property
    def content(self) -> bytes:
        """Its file."""
        return b"\n".join((self.header.line(), *self.lines, b""))

    @property
    def is_whole(self) -> bool:
        """Whether its lines are those that were written, all of them."""
        return self.header.outputs == tuple(map(line_digest, self.lines))


def line_digest(line: bytes) -> str:
    """Digest of one record line, 16 hexadecimal digits."""
    return hashlib.blake2b(line, digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class StageFolder:
    """The parts of one stage."""

    path: Path
    stage: str

    def part_path(self, index: int) -> Path:
        """Where part ``index`` lies."""
        return self.path / f"part-{index:05d}.jsonl"

    def count(self) -> int:
        """How many parts there are, counted from the first without a gap."""
        index = 0
        while self.part_path(index).exists():
            index += 1
        return index

    def indexes(self) -> list[int]:
        """The numbers of the parts that are there, in order; some may lack between them."""
        names = (path.stem.removeprefix("part-") for path in self.path.glob("part-*.jsonl"))
        return sorted(int(name) for name in names if name.isdecimal())

    def read(self, index: int) -> Part | None:
        """A part, or ``None`` where there is none or its header is damaged: it is made anew.

        Raises:
            UserError: If the file is a part of another stage or schema version.
        """
        path = self.part_path(index)
        first, _, rest = (self.content(index) or b"").partition(b"\n")
        header = _header(first)
        if header is None:
            return None
        require_schema(header.schema, f"{path}:1")
        if header.stage != self.stage:
            raise UserError(
                f"{path}:1: holds stage {header.stage!r:.80}, expected {self.stage!r}; use a new "
                "run folder"
            )
        return Part(header, tuple(rest.split(b"\n")[:-1]))

    def content(self, index: int) -> bytes | None:
        """The bytes of a part's file, whatever they are; ``None`` where there is none.

        Raises:
            UserError: If it cannot be read.
        """
        path = self.part_path(index)
        try:
            return read_regular(path, _MOST_PART_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error

    def header(self, index: int) -> PartHeader | None:
        """The header of a part alone; ``None`` where there is no part or it is damaged."""
        try:
            with open_regular(self.part_path(index)) as handle:
                return _header(handle.readline(_MOST_HEADER_BYTES))
        except OSError:
            return None

    def write(self, index: int, part: Part) -> None:
        """Writes a part atomically."""
        make_folder(self.path)
        write_atomically(self.part_path(index), [part.content], goes_on=True)

    def parts(self) -> Iterator[Part]:
        """Every part that is not damaged, in order."""
        return filter(None, map(self.read, range(self.count())))

    def lines(self) -> Iterator[bytes]:
        """Every record line, part by part."""
        return (line for part in self.parts() for line in part.lines)

    def fingerprints(self) -> set[str]:
        """The fingerprints that the parts have: one, unless a run with others was interrupted."""
        return {part.header.fingerprint for part in self.parts()}


class PartWriter:
    """Writes a stage's parts one after the other while the next one is made.

    One part at most is under way, so that of a run that is killed no more is lost.
    """

    def __init__(self, folder: StageFolder) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._under_way: Future[None] | None = None

    def write(self, index: int, part: Part) -> None:
        """Begins to write a part, as soon as the one before is written.

        Raises:
            UserError: If that one could not be.
        """
        self._finish()
        self._under_way = self._thread.submit(self._folder.write, index, part)

    def close(self) -> None:
        """Waits for the last part.

        Raises:
            UserError: If it could not be written.
        """
        self._thread.shutdown(wait=True)
        self._finish()

    def _finish(self) -> None:
        if (last := self._under_way) is not None:
            self._under_way = None  # it is told once
            last.result()


def _header(line: bytes) -> PartHeader | None:
    with suppress(UserError):
        return decode(PartHeader, line)
    return None


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run's folder on disk."""

    path: Path

    @property
    def input(self) -> StageFolder:
        """Where the samples lie that the run started from."""
        return StageFolder(self.path / "0-input", "input")

    def stage(self, position: int, name: str) -> StageFolder:
        """The folder of the system's ``position``-th stage, from 1."""
        return StageFolder(self.path / f"{position}-{name}", name)

    def stages(self, manifest: Mapping[str, Any]) -> list[tuple[StageFolder, Mapping[str, Any]]]:
        """The folders of a manifest's stages, in their order, with what it says of each."""
        named = enumerate(manifest.get("stages", {}).items(), start=1)
        return [(self.stage(place, name), values) for place, (name, values) in named]

    @property
    def records_path(self) -> Path:
        """The last stage's records, one a line."""
        return self.path / RECORDS

    @property
    def failed_path(self) -> Path:
        """One row for each record with an Issue."""
        return self.path / "failed.jsonl"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps every other run out until the block ends; the kernel frees it if riveg dies.

        Raises:
            UserError: If another run holds the folder, it cannot be made, or it holds other files
                or links that lead out of it.
        """
        self._require_own()
        make_folder(self.path)
        try:
            self.refuse_links()
            handle = (self.path / _LOCK).open("a+")
        except OSError as error:
            raise UserError(f"{self.path}: cannot be used as a run folder ({error})") from error
        with handle:
            try:
                _take(handle)
            except OSError as error:
                handle.seek(0)
                raise UserError(
                    f"{self.path}: another run (process {handle.read().strip() or '?'}) is at "
                    "work on this folder; wait for it or choose another --out"
                ) from error
            with writing(self.path / _LOCK, goes_on=True):
                handle.truncate(0)
                handle.write(str(os.getpid()))
                handle.flush()
            self._remove_partial()
            try:
                yield
            finally:
                self._remove_partial()

    def process(self) -> int | None:
        """The process that is at work on the folder; ``None`` if there is none."""
        try:
            with open_regular(self.path / _LOCK) as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    number = handle.read(20).strip()
                    return int(number) if number.isdigit() else 0
        except OSError:
            return None
        return None

    def began(self) -> float | None:
        """When the last process began to work on the folder, in seconds since 1970."""
        try:
            return (self.path / _LOCK).stat().st_mtime
        except OSError:
            return None

    def _require_own(self) -> None:
        """Refuses a folder with files that no run has made: they might be overwritten."""
        if not self.path.is_dir() or self.input.path.is_dir():
            return
        if any(found.name not in {_LOCK, PREDICTIONS} for found in self.path.iterdir()):
            raise UserError(f"{self.path}: holds files and is no run folder; choose another --out")

    def refuse_links(self) -> None:
        """Makes sure that what is written here stays here: the folder may come from others.

        Raises:
            UserError: If a link with a name that runs write to leads out of the folder.
        """
        home = self.path.resolve()
        for pattern in _WRITTEN:
            # glob() passes a link over that leads nowhere yet, where a pattern is a whole name.
            for path in (self.path / pattern, *self.path.glob(pattern)):
                if path.is_symlink() and not path.resolve().is_relative_to(home):
                    raise UserError(
                        f"{path}: is a link that leads out of the run folder; remove it, or choose "
                        "another --out"
                    )

    def _remove_partial(self) -> None:
        """Removes what runs, or processes of this one, left that were killed while they wrote."""
        stages = self.path.glob(f"[0-9]*-*/part-*{PARTIAL}")
        for path in (*self.path.glob(f"*.json*{PARTIAL}"), *stages):
            path.unlink(missing_ok=True)

    def read_manifest(self) -> dict[str, Any]:
        """The manifest, empty where there is none yet.

        Raises:
            UserError: If the file is no manifest.
        """
        return read_manifest(self.path)

    def write_manifest(self, values: Mapping[str, Any]) -> None:
        """Replaces the manifest."""
        text = json.dumps(values, indent=2, ensure_ascii=False)
        write_atomically(self.path / MANIFEST, [text.encode() + b"\n"], goes_on=True)


def _take(handle: IO[str]) -> None:
    """Takes the lock; one who only looks whether it is taken holds it for a moment."""
    for _ in range(_TRIES_TO_LOCK - 1):
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.05)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
