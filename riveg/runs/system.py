"""A system ready for work: ``predict`` for one sample, ``run`` for many."""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from riveg.config.reader import load_config
from riveg.config.system import Step, SystemConfig
from riveg.errors import UserError
from riveg.files import file_digest, text_digest, write_atomically
from riveg.formats.accounts import lost_servers
from riveg.formats.run_records import CONFIG, CONFIG_DIGEST, DIGEST
from riveg.images.loader import ImageLoader
from riveg.pipeline import AnyStageRunner
from riveg.protocols import ImageSource
from riveg.runs.building import (
    build_context,
    build_runner,
    open_models,
    require_packages,
)
from riveg.runs.checks import (
    gold_of,
    origin_of,
    require_clients,
    require_images,
    require_models,
    require_same_origin,
)
from riveg.runs.folder import RunFolder
from riveg.runs.live_manifest import LiveManifest
from riveg.runs.manifest import manifest_of, package_versions
from riveg.runs.portion import Portion, Shard
from riveg.runs.prediction import Prediction
from riveg.runs.progress import Progress, Silence
from riveg.runs.run import Run, RunReport
from riveg.runs.run_log import LoggedProgress, RunLog
from riveg.runs.sources import DataSource, GivenImage, as_source, image_on_disk, make_sample
from riveg.runs.stored import working_folder
from riveg.types import ImageRef, Sample

if TYPE_CHECKING:
    from riveg.geometry.arrays import Pixels

log = logging.getLogger(__name__)


class System:
    """The stages of a configuration; backends are built when they are first needed.

    Not to be shared between threads. A system keeps its language models between samples: use it in
    a ``with`` block, or call :meth:`close`.
    """

    def __init__(self, config: SystemConfig) -> None:
        self.config = config
        self._runners: tuple[AnyStageRunner, ...] | None = None
        self._image = _OneImage()
        self._held = ExitStack()

    def __enter__(self) -> System:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops what was started for :meth:`predict`."""
        self._runners = None
        self._held.close()

    def predict(
        self,
        text: str,
        image: GivenImage = None,
        *,
        caption: str | None = None,
        id: str = "post",
    ) -> Prediction:
        """Runs one post through every stage.

        Args:
            text: The raw text.
            image: Its image: a path, the bytes of a file, or a decoded image, taken as upright.
                An array is RGB, *shape* ``(height, width, 3)``, values in [0, 255].
            caption: What the image shows, for stages that can use it.
            id: The id of the record.

        Raises:
            UserError: If the system reads gold, or a backend's extra is missing.
        """
        with image_on_disk(image) as path:
            name = None if path is None else path.name
            sample = make_sample(text, id=id, image=name, caption=caption)
            if path is not None:
                self._image.folder = path.parent
            for runner in self._built():
                (sample,) = runner([sample])
        return Prediction.of(sample, image)

    def run(
        self,
        data: DataSource | Iterable[Sample] | Iterable[str | Path] | str | Path,
        *,
        out: str | Path,
        images: str | Path | None = None,
        limit: int | None = None,
        shard: Shard | None = None,
        until: str | None = None,
        retry_failed: bool = False,
        progress: Progress | None = None,
    ) -> RunReport:
        """Every sample through the stages, into a run folder; given again, it goes on.

        Args:
            data: A dataset, its name or path, several names or paths, which are read in order, or
                samples with ids of their own.
            out: The run folder, or the address of one in an object store, ``s3://bucket/run``.
            images: Where relative paths of images start; ``None``: where the dataset says, and for
                samples the working folder.
            limit: Only the first so many samples.
            shard: Of them only this share; :func:`riveg.runs.merging.merge_runs` joins the shares.
            until: The last stage to run.
            retry_failed: Ask again about records with an Issue.
            progress: Told how it gets on.

        Raises:
            UserError: For everything the user can mend, before work begins where possible.
        """
        source = as_source(data, None if images is None else Path(images))
        steps = self.config.until(until)
        for step in steps:
            require_packages(step)
        require_clients(self.config, steps)
        require_models(self.config, steps)
        require_images(steps, source)
        steps = tuple(step.settled(self.config.base) for step in steps)
        shown = progress or Silence()
        with working_folder(Path(out), shown.note) as place, RunFolder(place).lock():
            folder = RunFolder(place)
            require_same_origin(folder, origin_of(self.config, source, shard))
            log = RunLog(folder)
            heard = LoggedProgress(shown, log)
            versions = {"versions": package_versions(), "python": platform.python_version()}
            with log.run(versions):
                manifest, portion = LiveManifest(folder, log), Portion(limit, shard)
                report = self._run_locked(
                    source, folder, steps, portion, manifest, heard, retry_failed=retry_failed
                )
                for note in report.notes:
                    log.write("note", note)
                counts = {"samples": report.samples, "failed": report.failed}
                log.write("run ended", values=counts)
            return report

    def _run_locked(
        self,
        source: DataSource,
        folder: RunFolder,
        steps: tuple[Step, ...],
        portion: Portion,
        manifest: LiveManifest,
        progress: Progress,
        *,
        retry_failed: bool,
    ) -> RunReport:
        images = ImageLoader(source.image_roots)
        gold = gold_of(source, steps)
        with open_models(
            self.config.llm, folder.path, images, progress.note, manifest.add
        ) as opened:
            models, release = opened
            run = Run(
                self.config,
                source,
                folder,
                steps=steps,
                retry_failed=retry_failed,
                progress=progress,
                gold=gold,
                chats=models,
                release=release,
            )
            return self._done(run, source, folder, steps, portion, manifest)

    def _done(
        self,
        run: Run,
        source: DataSource,
        folder: RunFolder,
        steps: tuple[Step, ...],
        portion: Portion,
        manifest: LiveManifest,
    ) -> RunReport:
        samples, parts, share = run.write_input(portion)
        notes = run.notes()
        settings = resolved_text(self.config.with_steps(steps))
        manifest.begin(
            {
                **manifest_of(self.config, run, source, steps, samples),
                **share,
                CONFIG_DIGEST: text_digest(settings),
            }
        )
        write_atomically(folder.path / CONFIG, [settings.encode()], goes_on=True, is_private=True)
        with closing(run):
            run.require_executor()
            stages = tuple(run.run_stages(samples, parts, manifest))
        written = run.write_records(parts)
        sent = run.sent_images(parts)
        notes = (*notes, *sent.notes(), *lost_servers(manifest.accounts))
        manifest.end(
            {
                "failed": written.failed,
                "notes": list(notes),
                **({"images_sent": sent.record()} if sent.is_any else {}),
                DIGEST: file_digest(folder.records_path),
                "out_of_memory": {
                    report.stage: [asdict(shortage) for shortage in report.shortages]
                    for report in stages
                    if report.shortages
                },
            }
        )
        return RunReport(folder.path, samples, written.failed, written.entities, stages, notes)

    def _built(self) -> tuple[AnyStageRunner, ...]:
        if self._runners is None:
            oracles = [step.stage.name for step in self.config.steps if step.config.oracle]
            if oracles:
                raise UserError(f"{', '.join(oracles)}: reads gold, which a single post has not")
            for step in self.config.steps:
                require_packages(step)
            require_models(self.config, self.config.steps)
            try:
                self._runners = tuple(self._runners_for(self._image))
            except BaseException:
                self._held.close()  # else the next try would hold everything twice
                raise
        return self._runners

    def _runners_for(self, images: ImageSource) -> Iterator[AnyStageRunner]:
        models, _ = self._held.enter_context(open_models(self.config.llm, None, images, log.info))
        context = build_context(self.config, images, chats=models)
        for step in self.config.steps:
            runner = build_runner(step, context, batch_size=1, gated=self.config.is_gated)
            self._held.callback(runner.close)
            yield runner


class _OneImage:
    """Opens images in one folder at a time: that of the sample being predicted."""

    def __init__(self) -> None:
        self.folder = Path()

    def load(self, image: ImageRef) -> Pixels:
        return ImageLoader([self.folder]).load(image)

    def probe(self, image: ImageRef) -> ImageRef:
        return ImageLoader([self.folder]).probe(image)

    def stamp(self, image: ImageRef) -> str:
        return ImageLoader([self.folder]).stamp(image)


def load_system(system: str | Path, *overrides: str) -> System:
    """A shipped system by name, or one from a YAML file.

    Args:
        system: For example ``quickstart`` or ``my-system.yaml``.
        overrides: ``stage.key=value`` items.

    Raises:
        InvalidConfig: With every problem of the configuration.
        UserError: If an override is no text.
    """
    for override in overrides:
        if not isinstance(override, str):
            raise UserError(
                f'overrides: expected texts such as "entail.threshold=0.4", found {override!r}'
            )
    return System(load_config(system, overrides))


def resolved_text(config: SystemConfig) -> str:
    """The system with every default filled in, as YAML that is a system again.

    Where a number came from an artifact, a comment at the end says which.
    """
    text = yaml.safe_dump(config.resolved(), sort_keys=False, allow_unicode=True)
    for item in config.artifacts:
        source = json.dumps({"name": item.name, "path": item.path, "digest": item.digest})
        text += f"# {item.key}: {item.value} from the artifact {source}\n"
    return text
