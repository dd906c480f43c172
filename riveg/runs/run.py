"""A run: the input in parts, one stage after another over all parts, then the records."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from riveg.checkpoints.adapters import shaping
from riveg.config.own_labels import label_notes
from riveg.config.system import LLM_FIELD, Step, SystemConfig
from riveg.executors.executor import open_executor
from riveg.files import text_digest
from riveg.formats.records import encode
from riveg.llm.conversation import Chat
from riveg.runs.folder import RunFolder, StageFolder
from riveg.runs.foreign_scripts import ForeignScripts
from riveg.runs.live_manifest import LiveManifest
from riveg.runs.portion import Portion
from riveg.runs.progress import Progress
from riveg.runs.record_files import Written, write_records
from riveg.runs.run_input import RunInput
from riveg.runs.sent_images import SentImages, token_notes
from riveg.runs.sources import DataSource
from riveg.runs.stage_job import StageJob
from riveg.runs.trained_with import training_notes
from riveg.types import Gold
from riveg.vision.runtime.batches import Shortage

_ANSWER_SCHEMA = 1
"""In fingerprints: the version of the records from which on the same settings mean the same answer.

Versions 2 and 3 of the records only add fields, so that older runs can be gone on with.
"""


@dataclass(frozen=True, slots=True)
class StageReport:
    """What one stage of a run did.

    Args:
        stage: Its name.
        backend: The name of its backend.
        samples: Records that it has.
        made: Of them, those that were made now.
        issues: Of them, those with an Issue of the stage.
        seconds: How long it took.
        shortages: Where memory was too short.
    """

    stage: str
    backend: str
    samples: int
    made: int
    issues: int
    seconds: float
    shortages: tuple[Shortage, ...] = ()


@dataclass(frozen=True, slots=True)
class RunReport:
    """The result of a run.

    Args:
        folder: Where it is; of a run in an object store, the folder in which it was made.
        samples: How many it has.
        failed: Of them, those with at least one Issue.
        entities: Of all samples.
        stages: What each stage did.
        notes: What a reader of the answers should know; one line each.
    """

    folder: Path
    samples: int
    failed: int
    entities: int
    stages: tuple[StageReport, ...]
    notes: tuple[str, ...] = ()

    @property
    def error_rate(self) -> float:
        """Share of samples with an Issue, in [0, 1]."""
        return self.failed / self.samples if self.samples else 0.0


class Run:
    """One run of a system over data, in a folder whose lock this process holds."""

    def __init__(
        self,
        config: SystemConfig,
        data: DataSource,
        folder: RunFolder,
        *,
        steps: tuple[Step, ...],
        retry_failed: bool,
        progress: Progress,
        chats: Mapping[str, Chat],
        gold: Mapping[str, Gold],
        release: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._config = config
        self._data = data
        self._folder = folder
        self._steps = steps
        self._retry_failed = retry_failed
        self._progress = progress
        self._gold = gold
        self._executor = open_executor(
            config.executor,
            partial(StageJob.open, chats=chats, progress=progress),
            workers=config.run.workers,
            gpus=config.run.gpus,
            progress=progress,
        )
        self._release = release
        self._looks_at_images = any(step.config.needs_image for step in steps)
        self._contents: dict[str, dict[str, str]] = {}
        self._scripts = ForeignScripts(steps)

    def write_input(self, portion: Portion) -> tuple[int, int, dict[str, object]]:
        """Writes the samples in parts, as :meth:`riveg.runs.run_input.RunInput.write`."""
        settings = self._config.run
        return RunInput(
            self._data,
            self._folder,
            part_size=settings.part_size,
            first_images=settings.first_images if self._looks_at_images else 0,
            scripts=self._scripts,
            progress=self._progress,
        ).write(portion)

    def notes(self) -> tuple[str, ...]:
        """What its backends are not made for, once the input is written; one line each."""
        return (
            *label_notes(self._config, self._steps),
            *training_notes(self._steps, self._config.base, self.fingerprint),
            *token_notes(self._config, self._steps),
            *self._model_notes(),
            *self._scripts.notes(),
        )

    def _model_notes(self) -> Iterator[str]:
        for step in self._steps:
            yield from (
                f"{step.stage.name}: {note}" for note in step.config.notes(self._config.base)
            )

    def require_executor(self) -> None:
        """Makes sure, before the first stage, that what does the parts has what each stage needs.

        Raises:
            UserError: If it lacks something.
        """
        self._executor.require(self.job(place) for place, _ in enumerate(self._steps, start=1))

    def run_stages(
        self, samples: int, parts: int, manifest: LiveManifest | None = None
    ) -> Iterator[StageReport]:
        """Runs one stage after another; the backend of each is freed before the next is built.

        What they take goes to ``manifest``, if there is one.
        """
        for position, step in enumerate(self._steps, start=1):
            self._progress.begin(step.stage.name, samples)
            started = time.monotonic()
            work = self._executor.run(self.job(position), range(parts))
            name, executor = step.stage.name, self._executor
            reports = list(work if manifest is None else manifest.noted(name, work, executor))
            seconds = time.monotonic() - started
            self._progress.end(seconds)
            shortages = _smallest(report.shortages for report in reports)
            for shortage in shortages:
                self._progress.note(f"{step.stage.name}: {shortage}")
            # The backend ends with its job, and a server with the last stage that asks it: their
            # memory is free before the next stage.
            self._release_unused(position)
            yield StageReport(
                stage=step.stage.name,
                backend=step.config.name,
                samples=sum(report.samples for report in reports),
                made=sum(report.made for report in reports),
                issues=sum(report.issues for report in reports),
                seconds=seconds,
                shortages=shortages,
            )

    def close(self) -> None:
        """Ends what works for it."""
        self._executor.close()

    def job(self, position: int) -> StageJob:
        """One stage of this run as a value; ``position`` counts the stages of the system from 1."""
        step = self._steps[position - 1]
        before = self._steps[position - 2].stage.name if position > 1 else None
        settings = self._config.run
        return StageJob(
            step=step,
            position=position,
            before=before,
            run_folder=self._folder.path.absolute(),
            fingerprint=self.fingerprint(step),
            base=self._config.base.absolute(),
            image_roots=tuple(root.absolute() for root in self._data.image_roots),
            llm={} if step.config.parallel else self._config.llm,
            labels=self._config.labels,
            gold=self._gold if step.config.oracle else {},
            batch_size=settings.part_size if step.config.whole_parts else settings.batch_size,
            gated=self._config.is_gated,
            retry_failed=self._retry_failed,
        )

    def _release_unused(self, done: int) -> None:
        later = {getattr(step.config, LLM_FIELD, None) for step in self._steps[done:]}
        asked = getattr(self._steps[done - 1].config, LLM_FIELD, None)
        if asked is not None and asked not in later:
            self._release(asked)

    def contents(self, step: Step) -> dict[str, str]:
        """Digests of the prompts and weights of a step; read once a run, as models are large."""
        if step.stage.name not in self._contents:
            self._contents[step.stage.name] = dict(step.config.contents(self._config.base))
        return self._contents[step.stage.name]

    def _language_settings(self, step: Step) -> dict[str, Any]:
        """What shapes the answers of a stage that asks a language model; else nothing."""
        endpoint = self._config.endpoint_of(step)
        labels = [label.model_dump() for label in self._config.labels]
        return {
            **({} if endpoint is None else {"llm": shaping(endpoint)}),
            **({"labels": labels} if step.config.uses_labels else {}),
        }

    def fingerprint(self, step: Step) -> str:
        """Digest of all that shapes a stage's answers, except the record it is asked about."""
        return text_digest(
            json.dumps(
                {
                    "schema": _ANSWER_SCHEMA,
                    "stage": step.stage.name,
                    "backend": step.config.name,
                    "revision": step.config.code_revision,
                    "config": step.config.model_dump(mode="json", exclude=immaterial(step.config)),
                    "contents": self.contents(step),
                    **self._language_settings(step),
                    "gold": _gold_digest(self._gold) if step.config.oracle else None,
                },
                sort_keys=True,
            )
        )

    def write_records(self, parts: int) -> Written:
        """Writes ``records.jsonl`` and ``failed.jsonl``."""
        return write_records(self._folder, self._last_folder, parts)

    def sent_images(self, parts: int) -> SentImages:
        """The images that its stages have shown to language models, counted from its records."""
        return SentImages.of(self._config, self._steps, self._last_folder, parts)

    @property
    def _last_folder(self) -> StageFolder:
        if not self._steps:
            return self._folder.input
        return self._folder.stage(len(self._steps), self._steps[-1].stage.name)


def immaterial(config: BaseModel) -> dict[str, Any]:
    """The fields of a configuration, and of its parts, that do not shape answers.

    In the form that pydantic expects of fields to leave out.

    >>> from riveg.registry import backend_config
    >>> immaterial(backend_config("caption", "blip")())
    {'batch_size': True, 'workers': True}
    """
    inside = {name: immaterial(value) for name, value in config if isinstance(value, BaseModel)}
    own = dict.fromkeys(sorted(getattr(config, "immaterial", ())), True)
    return {**{name: found for name, found in inside.items() if found}, **own}


def _smallest(noted: Iterable[Mapping[str, Shortage]]) -> tuple[Shortage, ...]:
    """The shortages of all parts, the most severe of each computation."""
    found: dict[str, Shortage] = {}
    for name, shortage in (pair for shortages in noted for pair in shortages.items()):
        if name not in found or shortage.fitted <= found[name].fitted:
            found[name] = shortage
    return tuple(dict.fromkeys(found.values()))


def _gold_digest(gold: Mapping[str, Gold]) -> str:
    return text_digest("\n".join(encode(gold[key]).decode() for key in sorted(gold)))
