"""One stage of a run as a value, and the work over its parts: what is kept, made and written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from riveg.config.system import LLM_FIELD, Step
from riveg.errors import UserError
from riveg.executors.executor import PartListener, PartReport
from riveg.formats.records import decode, encode
from riveg.images.loader import ImageLoader
from riveg.labels import Label
from riveg.llm.conversation import Chat
from riveg.llm.endpoint import Endpoint
from riveg.pipeline import AnyStageRunner
from riveg.runs.building import MOST_ANSWERS, build_context, build_runner, open_models
from riveg.runs.folder import Part, PartWriter, RunFolder, StageFolder, line_digest
from riveg.runs.moving import digest_of_reads, moved, reusable, reusable_answers
from riveg.runs.progress import Silence
from riveg.types import SCHEMA_VERSION, WARNING, Gold, ImageRef, Issue, Sample
from riveg.vision.runtime.batches import note_shortages


@dataclass(frozen=True, slots=True)
class StageJob:
    """A stage over the parts of a run folder: values and paths only, so that it can be sent away.

    Args:
        step: The stage and its backend's configuration.
        position: Of the stage in its system, from 1.
        before: The stage before it; ``None``: the input.
        run_folder: Where the run is written.
        fingerprint: Of all that shapes the answers.
        base: Where relative paths of the configuration start.
        image_roots: Image folders; the first one that has a file wins.
        llm: The system's language models by name.
        labels: The system's labels.
        gold: By sample id, for oracle backends only.
        batch_size: Samples a call of the backend.
        gated: Whether a stage before decides what is grounded.
        retry_failed: Whether records with an Issue of the stage are made anew.
    """

    step: Step
    position: int
    before: str | None
    run_folder: Path
    fingerprint: str
    base: Path
    image_roots: tuple[Path, ...]
    llm: Mapping[str, Endpoint]
    labels: tuple[Label, ...]
    gold: Mapping[str, Gold]
    batch_size: int
    gated: bool
    retry_failed: bool

    @property
    def upstream(self) -> StageFolder:
        """Where the parts come from."""
        run = RunFolder(self.run_folder)
        return run.input if self.before is None else run.stage(self.position - 1, self.before)

    @property
    def folder(self) -> StageFolder:
        """Where the parts go."""
        return RunFolder(self.run_folder).stage(self.position, self.step.stage.name)

    @property
    def is_parallel(self) -> bool:
        """Whether processes may do its parts at the same time: the backend only computes."""
        return self.step.config.parallel

    @property
    def device(self) -> str | None:
        """What its network runs on, as configured; ``None``: it has none, or asks others."""
        asks = getattr(self.step.config, LLM_FIELD, None) is not None
        return None if asks else getattr(self.step.config, "device", None)

    def open(
        self, chats: Mapping[str, Chat] | None = None, progress: PartListener | None = None
    ) -> StageWork:
        """The work itself, in this process.

        Args:
            chats: Language models that this process holds already; ``None``: it opens its own when
                the first request is made.
            progress: Told of every sample.
        """
        return StageWork(self, chats, progress or Silence())


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be done about a part.

    Args:
        inputs: For every record, the digest of what it is made from.
        present: The part as it is now.
        kept: Record lines that still hold, by their digest in ``inputs``.
        missing: The samples of the other records, in order.
        reads: For every record, the digest of what its answers depend on; none where the backend
            may read anything, or nothing has changed.
        is_done: Whether the part stands as it is.
    """

    inputs: tuple[str, ...]
    present: Part | None
    kept: Mapping[str, bytes]
    missing: Sequence[Sample]
    reads: tuple[str, ...]
    is_done: bool = False


class StageWork:
    """Maps a part of the folder upstream to the same part of the stage's folder.

    The backend is built when the first record has to be made: a finished run loads nothing. A part
    is written while the next one is made; with the end of the context all is written.
    """

    def __init__(
        self, job: StageJob, chats: Mapping[str, Chat] | None, progress: PartListener
    ) -> None:
        self._job = job
        self._chats = chats
        self._progress = progress
        self._images = ImageLoader(job.image_roots)
        self._written = PartWriter(job.folder)
        self._held = ExitStack()

    def __enter__(self) -> Self:
        self._shortages = self._held.enter_context(note_shortages())
        return self

    def __exit__(self, *_: object) -> None:
        """Waits until all is written and frees what the backend holds.

        Raises:
            UserError: As :meth:`~riveg.runs.folder.StageFolder.write`.
        """
        with self._held:
            self._written.close()

    @cached_property
    def _runner(self) -> AnyStageRunner:
        job, chats = self._job, self._chats
        if chats is None:
            chats, _ = self._held.enter_context(open_models(job.llm, job.run_folder, self._images))
        context = build_context(job, self._images, chats=chats, gold=job.gold)
        runner = build_runner(
            job.step,
            context,
            batch_size=job.batch_size,
            gated=job.gated,
            most_kept=MOST_ANSWERS,
        )
        self._held.callback(runner.close)
        return runner

    def __call__(self, index: int) -> PartReport:
        plan = self._plan(index)
        self._progress.keep(len(plan.kept))
        if plan.is_done and plan.present is not None:
            return self._report(index, plan.present.lines, 0)
        made = self._made(plan.missing)
        lines = tuple(
            plan.kept[digest] if digest in plan.kept else next(made) for digest in plan.inputs
        )
        name, fingerprint = self._job.step.stage.name, self._job.fingerprint
        part = Part.of(name, fingerprint, plan.inputs, lines, plan.reads)
        if part != plan.present:
            self._written.write(index, part)
        return self._report(index, lines, len(plan.missing))

    def _report(self, index: int, lines: Sequence[bytes], made: int) -> PartReport:
        issues = sum(map(self._has_own_issue, lines))
        return PartReport(index, len(lines), made, issues, dict(self._shortages))

    def missing(self, index: int) -> Sequence[Sample]:
        """The samples of a part that would have to be made now; nothing is made or written."""
        return self._plan(index).missing

    def _plan(self, index: int) -> _Plan:
        path = self._job.upstream.part_path(index)
        source = self._job.upstream.read(index)
        if source is None:
            raise UserError(f"{path}: is gone; give the command again")
        inputs = tuple(self._input_digest(line) for line in source.lines)
        present = self._job.folder.read(index)
        if present is not None and self._is_done(present, inputs):
            kept = dict(zip(inputs, present.lines, strict=True))
            return _Plan(inputs, present, kept, (), present.header.reads, is_done=True)
        whole = self._without_failed(reusable(present, self._job.fingerprint))
        kept = {digest: whole[digest] for digest in inputs if digest in whole}
        if present is not None and present.header.inputs == inputs and kept.keys() >= {*inputs}:
            return _Plan(inputs, present, kept, (), present.header.reads)
        samples = {
            digest: decode(Sample, line, where=str(path))
            for digest, line in zip(inputs, source.lines, strict=True)
        }
        reads = {digest: self._reads(sample) for digest, sample in samples.items()}
        made = self._without_failed(reusable_answers(present, self._job.fingerprint))
        for digest, of_reads in reads.items():
            if digest not in kept and of_reads in made:
                sample = moved(self._job.step, samples[digest], decode(Sample, made[of_reads]))
                kept[digest] = encode(sample)
        missing = [samples[digest] for digest in inputs if digest not in kept]
        written = tuple(reads[digest] for digest in inputs) if self._job.step.reads else ()
        return _Plan(inputs, present, kept, missing, written)

    def _is_done(self, present: Part, inputs: tuple[str, ...]) -> bool:
        """Whether a part is what would be written now, so that no record has to be looked at."""
        header = present.header
        return (
            (header.schema, header.fingerprint) == (SCHEMA_VERSION, self._job.fingerprint)
            and header.inputs == inputs
            and len(present.lines) == len(inputs)
            and present.is_whole
            and not (self._job.retry_failed and any(map(self._has_own_issue, present.lines)))
        )

    def _reads(self, sample: Sample) -> str:
        return digest_of_reads(self._job.step, sample, self._stamp(sample))

    def _stamp(self, sample: Sample) -> str:
        return "" if sample.image is None else self._images.stamp(sample.image)

    def _input_digest(self, line: bytes) -> str:
        """Of the record upstream and, for a stage that opens it, of the image as it is now."""
        image = image_of(line) if self._job.step.config.needs_image else None
        if image is None:
            return line_digest(line)
        return line_digest(line + self._images.stamp(image).encode())

    def _without_failed(self, lines: dict[str, bytes]) -> dict[str, bytes]:
        if not self._job.retry_failed:
            return lines
        return {digest: line for digest, line in lines.items() if not self._has_own_issue(line)}

    def _made(self, samples: Sequence[Sample]) -> Iterator[bytes]:
        if not samples:
            return
        told = 0

        def tell(finished: int) -> None:
            nonlocal told
            told += finished
            self._progress.advance(finished, 0)

        for sample in self._runner(samples, tell):
            line = encode(sample)
            told -= 1
            self._progress.advance(int(told < 0), int(self._has_own_issue(line)))
            told = max(told, 0)
            yield line

    def _has_own_issue(self, line: bytes) -> bool:
        return any(issue.stage == self._job.step.stage.name for issue in faults_of(line))


_IMAGE = re.compile(rb',"image":(\{"path":"(?:[^"\\]|\\.)*"(?:,"(?:width|height)":\d+)*\})')


def image_of(line: bytes) -> ImageRef | None:
    """The image of a record line; the rest of the record is not parsed."""
    # As in issues_of; and no key of that name holds an object but the record's own.
    found = _IMAGE.search(line)
    return None if found is None else decode(ImageRef, found[1])


def issues_of(line: bytes) -> tuple[Issue, ...]:
    """The Issues of a record line; most lines have none and are not parsed."""
    # The encoder leaves empty fields out, and a quote inside a text is always escaped.
    if b'"issues":[' not in line:
        return ()
    return decode(Sample, line).issues


def faults_of(line: bytes) -> tuple[Issue, ...]:
    """The Issues of a record line that say that an answer is missing; warnings do not."""
    return tuple(issue for issue in issues_of(line) if issue.kind != WARNING)
