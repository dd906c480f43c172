"""A run: the input in parts, then stage after stage over all parts, then the ends tied up."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from riveg.config import LLM_FIELD, Step, SystemConfig
from riveg.errors import UserError
from riveg.executors.local import LocalExecutor
from riveg.pipeline import StageRunner, build_runner
from riveg.protocols import BuildContext, PictureSource
from riveg.records import decode, encode
from riveg.resources import text_digest
from riveg.runs import (
    Part,
    RunFolder,
    StageFolder,
    line_digest,
    reusable,
    write_atomically,
)
from riveg.types import SCHEMA_VERSION, WARNING, Gold, Issue, Sample


class DataSource(Protocol):
    """Where a run's samples come from; gold is asked for by oracle backends only."""

    @property
    def name(self) -> str: ...

    @property
    def origin(self) -> tuple[str, ...]: ...

    @property
    def image_roots(self) -> tuple[Path, ...]: ...

    def samples(self) -> Iterator[Sample]: ...

    def gold(self) -> Iterator[Gold]: ...


class Progress(Protocol):
    """Told how a run gets on; the command line draws bars from it."""

    def begin(self, stage: str, total: int | None, /) -> None:
        """A stage starts; ``total`` samples, where it is known."""

    def advance(self, samples: int, issues: int, /) -> None:
        """So many more samples have an answer of the stage, so many of them an Issue."""

    def end(self, seconds: float, /) -> None:
        """The stage is through."""

    def note(self, text: str, /) -> None:
        """What it waits for, for example a server that loads."""


class Silence:
    """Progress that nobody wants to see."""

    def begin(self, _stage: str, _total: int | None, /) -> None:
        return None

    def advance(self, _samples: int, _issues: int, /) -> None:
        return None

    def end(self, _seconds: float, /) -> None:
        return None

    def note(self, _text: str, /) -> None:
        return None


@dataclass(frozen=True, slots=True)
class StageReport:
    """What one stage of a run did: samples in all, made now, and Issues that are its own."""

    stage: str
    backend: str
    samples: int
    made: int
    issues: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run ended with; ``failed`` counts samples with at least one Issue."""

    folder: Path
    samples: int
    failed: int
    stages: tuple[StageReport, ...]

    @property
    def error_rate(self) -> float:
        """Share of samples with an Issue, in [0, 1]."""
        return self.failed / self.samples if self.samples else 0.0


@dataclass(frozen=True, slots=True)
class PartReport:
    """How many records of a part there are, were made now, and carry an Issue of the stage."""

    samples: int
    made: int
    issues: int


@dataclass
class StageTask:
    """Maps a part of the folder upstream to the same part of the stage's folder.

    The backend is built when the first record has to be made: a finished run loads nothing.
    """

    step: Step
    upstream: StageFolder
    folder: StageFolder
    fingerprint: str
    images: PictureSource
    build: Callable[[], StageRunner]
    retry_failed: bool
    progress: Progress = field(default_factory=Silence)

    @cached_property
    def _runner(self) -> StageRunner:
        return self.build()

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
            self.folder.write(index, part)
        return PartReport(len(lines), len(todo), sum(map(self._has_own_issue, lines)))

    def _input_digest(self, line: bytes) -> str:
        """Of the record upstream and, for a stage that opens it, of the picture as it is now."""
        if not self.step.config.needs_picture or b'"image":' not in line:
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


class Run:
    """One run of a system over data, on a folder that this process holds the lock of."""

    def __init__(
        self,
        config: SystemConfig,
        data: DataSource,
        folder: RunFolder,
        *,
        steps: tuple[Step, ...],
        retry_failed: bool,
        progress: Progress,
        context: BuildContext,
        release: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._config = config
        self._data = data
        self._folder = folder
        self._steps = steps
        self._retry_failed = retry_failed
        self._progress = progress
        self._context = context
        self._release = release
        self._contents: dict[str, dict[str, str]] = {}

    def write_input(self, limit: int | None) -> tuple[int, int]:
        """Writes the samples in parts; how many samples and parts there are.

        Parts that are the same already are left alone. A run folder never shrinks: that would throw
        away answers.

        Raises:
            UserError: If there are no samples, or fewer than the folder holds.
        """
        self._progress.begin("input", limit)
        started = time.monotonic()
        before = self._folder.read_manifest().get("samples", 0)
        if limit is not None and limit < before:
            raise self._shrunk(before, f"--limit {limit}")
        count = parts = 0
        size = self._config.run.part_size
        for chunk in _chunks(self._data.samples(), size, limit):
            part = _input_part(chunk)
            present = self._folder.input.read(parts)
            if present is not None and len(present.lines) > len(part.lines):
                raise self._shrunk(before, f"{self._data.name} with fewer")
            if present != part:
                self._folder.input.write(parts, part)
            count += len(part.lines)
            parts += 1
            self._progress.advance(len(part.lines), sum(bool(issues_of(x)) for x in part.lines))
        if not count:
            raise UserError(f"{self._data.name}: no samples in it")
        if count < before:
            raise self._shrunk(before, f"{self._data.name} with {count}")
        self._progress.end(time.monotonic() - started)
        return count, parts

    def _shrunk(self, before: int, now: str) -> UserError:
        held = f"a run over {before} samples" if before else "more samples"
        return UserError(
            f"{self._folder.path}: holds {held}, {now} would throw answers away; choose another "
            "--out"
        )

    def run_stages(self, samples: int, parts: int) -> Iterator[StageReport]:
        """Stage after stage over all parts; each stage's backend is let go before the next."""
        upstream = self._folder.input
        for position, step in enumerate(self._steps, start=1):
            folder = self._folder.stage(position, step.stage.name)
            task = StageTask(
                step=step,
                upstream=upstream,
                folder=folder,
                fingerprint=self.fingerprint(step),
                images=self._context.images,
                build=lambda step=step: self._build(step),  # type: ignore[misc]
                retry_failed=self._retry_failed,
                progress=self._progress,
            )
            self._progress.begin(step.stage.name, samples)
            started = time.monotonic()
            reports = list(LocalExecutor().map(task, range(parts)))
            seconds = time.monotonic() - started
            self._progress.end(seconds)
            # The backend goes with its task, and a server with the last stage that asks it: their
            # memory is free before the next stage.
            del task
            self._release_unused(position)
            yield StageReport(
                stage=step.stage.name,
                backend=step.config.name,
                samples=sum(report.samples for report in reports),
                made=sum(report.made for report in reports),
                issues=sum(report.issues for report in reports),
                seconds=seconds,
            )
            upstream = folder

    def _release_unused(self, done: int) -> None:
        steps = self._config.steps
        later = {getattr(step.config, LLM_FIELD, None) for step in self._steps[done:]}
        asked = getattr(steps[done - 1].config, LLM_FIELD, None)
        if asked is not None and asked not in later:
            self._release(asked)

    def _build(self, step: Step) -> StageRunner:
        run = self._config.run
        size = run.part_size if step.config.whole_parts else run.batch_size
        return build_runner(self._config, step, self._context, batch_size=size)

    def contents(self, step: Step) -> dict[str, str]:
        """Digests of the prompts and weights of a step, read once a run: models are large."""
        if step.stage.name not in self._contents:
            self._contents[step.stage.name] = dict(step.config.contents(self._context.base))
        return self._contents[step.stage.name]

    def _language(self, step: Step) -> dict[str, Any]:
        """What shapes a language model's answers; nothing for stages that ask none."""
        endpoint = self._config.endpoint_of(step)
        labels = [label.model_dump() for label in self._config.labels]
        return {
            **({} if endpoint is None else {"llm": endpoint.shaping()}),
            **({"labels": labels} if step.config.uses_labels else {}),
        }

    def fingerprint(self, step: Step) -> str:
        """Digest of all that shapes a stage's answers, but for the record it is asked about."""
        return text_digest(
            json.dumps(
                {
                    "schema": SCHEMA_VERSION,
                    "stage": step.stage.name,
                    "backend": step.config.name,
                    "revision": step.config.code_revision,
                    "config": step.config.model_dump(mode="json"),
                    "contents": self.contents(step),
                    **self._language(step),
                    "gold": _gold_digest(self._context.gold) if step.config.oracle else None,
                },
                sort_keys=True,
            )
        )

    def write_ends(self, parts: int) -> int:
        """Writes ``records.jsonl`` and ``failed.jsonl``; how many samples have failed."""
        last = self._folder.input
        if self._steps:
            last = self._folder.stage(len(self._steps), self._steps[-1].stage.name)
        lines = _lines_of(last, parts)
        write_atomically(self._folder.records_path, (line + b"\n" for line in lines))
        failed = 0

        def rows() -> Iterator[bytes]:
            nonlocal failed
            for line in _lines_of(last, parts):
                if faults_of(line):
                    failed += 1
                    yield failed_row(decode(Sample, line))

        write_atomically(self._folder.failed_path, rows())
        return failed


def faults_of(line: bytes) -> tuple[Issue, ...]:
    """The Issues of a record line that say that an answer is missing; warnings do not."""
    return tuple(issue for issue in issues_of(line) if issue.kind != WARNING)


def failed_row(sample: Sample) -> bytes:
    """A line of ``failed.jsonl``: the sample's id, picture, and every Issue with its reason."""
    issues = [json.loads(encode(issue)) for issue in sample.issues]
    image = sample.image.path if sample.image else None
    return json.dumps({"id": sample.id, "image": image, "issues": issues}).encode() + b"\n"


def _lines_of(folder: StageFolder, parts: int) -> Iterator[bytes]:
    for index in range(parts):
        part = folder.read(index)
        yield from part.lines if part else ()


def _chunks(samples: Iterable[Sample], size: int, limit: int | None) -> Iterator[list[Sample]]:
    chunk: list[Sample] = []
    for count, sample in enumerate(samples):
        if limit is not None and count >= limit:
            break
        chunk.append(sample)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _input_part(samples: list[Sample]) -> Part:
    lines = tuple(encode(sample) for sample in samples)
    return Part.of("input", "", tuple(line_digest(line) for line in lines), lines)


def _gold_digest(gold: Mapping[str, Gold]) -> str:
    return text_digest("\n".join(encode(gold[key]).decode() for key in sorted(gold)))
