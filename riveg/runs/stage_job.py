"""One stage of a run, part after part: what is kept, what is made, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from riveg.config.system import Step
from riveg.errors import UserError
from riveg.formats.records import decode, encode
from riveg.pipeline import StageRunner
from riveg.protocols import ImageSource
from riveg.runs.folder import Part, StageFolder, WrittenBehind, line_digest, reusable
from riveg.runs.progress import Progress, Silence
from riveg.types import WARNING, Issue, Sample


@dataclass(frozen=True, slots=True)
class PartReport:
    """How many records of a part there are, were made now, and carry an Issue of the stage."""

    samples: int
    made: int
    issues: int


@dataclass
class StageTask:
    """Maps a part of the folder upstream to the same part of the stage's folder.

    The backend is built when the first record has to be made: a finished run loads nothing. A part
    is written while the next one is made; with the end of the context all is written.
    """

    step: Step
    upstream: StageFolder
    folder: StageFolder
    fingerprint: str
    images: ImageSource
    build: Callable[[], StageRunner]
    retry_failed: bool
    progress: Progress = field(default_factory=Silence)

    @cached_property
    def _runner(self) -> StageRunner:
        return self.build()

    @cached_property
    def _written(self) -> WrittenBehind:
        return WrittenBehind(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Waits until all is written and lets the backend go.

        Raises:
            UserError: As :meth:`~riveg.runs.StageFolder.write`.
        """
        try:
            self._written.close()
        finally:
            if "_runner" in self.__dict__:
                self._runner.close()

    def __call__(self, index: int) -> PartReport:
        source = self.upstream.read(index)
        if source is None:
            raise UserError(f"{self.upstream.part_path(index)}: is gone; give the command again")
        inputs = tuple(self._input_digest(line) for line in source.lines)
        present = self.folder.read(index)
        kept = self._kept(present, inputs)
        todo = [
            decode(Sample, line, where=str(self.upstream.part_path(index)))
            for digest, line in zip(inputs, source.lines, strict=True)
            if digest not in kept
        ]
        self.progress.advance(len(kept), 0)
        made = self._made(todo)
        lines = tuple(kept[digest] if digest in kept else next(made) for digest in inputs)
        part = Part.of(self.step.stage.name, self.fingerprint, inputs, lines)
        if present != part:
            self._written.write(index, part)
        return PartReport(len(lines), len(todo), sum(map(self._has_own_issue, lines)))

    def _input_digest(self, line: bytes) -> str:
        """Of the record upstream and, for a stage that opens it, of the image as it is now."""
        if not self.step.config.needs_image or b'"image":' not in line:
            return line_digest(line)
        image = decode(Sample, line).image
        stamp = "" if image is None else self.images.stamp(image)
        return line_digest(line + stamp.encode())

    def _kept(self, present: Part | None, inputs: tuple[str, ...]) -> dict[str, bytes]:
        kept = reusable(present, self.fingerprint, inputs)
        if not self.retry_failed:
            return kept
        return {digest: line for digest, line in kept.items() if not self._has_own_issue(line)}

    def _made(self, samples: list[Sample]) -> Iterator[bytes]:
        if not samples:
            return
        for sample in self._runner(samples):
            line = encode(sample)
            self.progress.advance(1, int(self._has_own_issue(line)))
            yield line

    def _has_own_issue(self, line: bytes) -> bool:
        return any(issue.stage == self.step.stage.name for issue in faults_of(line))


def issues_of(line: bytes) -> tuple[Issue, ...]:
    """The Issues of a record line; most lines have none and are not parsed."""
    # The encoder leaves empty fields out, and a quote inside a text is always escaped.
    if b'"issues":[' not in line:
        return ()
    return decode(Sample, line).issues


def faults_of(line: bytes) -> tuple[Issue, ...]:
    """The Issues of a record line that say that an answer is missing; warnings do not."""
    return tuple(issue for issue in issues_of(line) if issue.kind != WARNING)
