"""The requests of a run to its language models, and what they cost: counted, not sent.

Local stages run, in the run folder, as far as their input is there; so do stages whose responses
are all cached. The first stage with a request to send ends that: the requests of later stages are
estimated from the samples as they are then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from riveg.config.backend import BuildContext
from riveg.config.system import LLM_FIELD, Step, SystemConfig
from riveg.errors import RivegError
from riveg.formats.records import decode
from riveg.images.loader import ImageLoader
from riveg.llm.conversation import NoAnswer, PreparedRequest, Request
from riveg.pipeline import PER_ENTITY
from riveg.protocols import Mention
from riveg.runs.building import build_context, open_models, require_packages
from riveg.runs.checks import gold_of, origin_of, require_images, require_same_origin
from riveg.runs.folder import RunFolder, StageFolder
from riveg.runs.llm_requests import CachedChat, asks_model, prepare_of, request_maker
from riveg.runs.portion import Portion, Shard
from riveg.runs.progress import Progress, Silence
from riveg.runs.request_counts import RequestCounter, StageRequests
from riveg.runs.run import Run
from riveg.runs.sources import DataSource
from riveg.types import Sample

ENTITIES_A_POST = 1.7
"""Entities assumed for a sample that is not tagged yet: the mean of Twitter-GMNER's train split."""

_ESTIMATED_FROM = 200
"""Samples from which tokens are estimated."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """The requests of a run.

    Args:
        folder: The run folder.
        samples: How many samples there are.
        done: Stages whose records are in the folder now.
        stages: The requests of each stage that asks a language model.
        notes: What the estimates are made from.
    """

    folder: Path
    samples: int
    done: tuple[str, ...]
    stages: tuple[StageRequests, ...]
    notes: tuple[str, ...] = ()


class _NotCached(RivegError):
    """A request is not cached, and nothing is to be sent."""


def _fail(requests: Sequence[Request]) -> Sequence[NoAnswer]:
    raise _NotCached(f"{len(requests)} questions have no answer on file")


def dry_run(
    config: SystemConfig,
    source: DataSource,
    out: Path,
    *,
    limit: int | None = None,
    shard: Shard | None = None,
    until: str | None = None,
    retry_failed: bool = False,
    progress: Progress | None = None,
) -> DryRun:
    """Counts the requests of ``riveg run`` with the same arguments.

    Raises:
        UserError: As a run would.
    """
    progress = progress or Silence()
    folder = RunFolder(out)
    steps = config.until(until)
    for step in steps[: _last_asking(steps)]:
        require_packages(step)
    require_images(steps, source)
    images = ImageLoader(source.image_roots)
    with (
        folder.lock(),
        open_models(config.llm, out, images, progress.note) as (models, _),
    ):
        require_same_origin(folder, origin_of(config, source, shard))
        gold = gold_of(source, steps)
        chats = {name: CachedChat(chat, _fail) for name, chat in models.items()}
        context = build_context(config, images, chats=chats, gold=gold)
        run = Run(
            config,
            source,
            folder,
            steps=steps,
            retry_failed=retry_failed,
            progress=progress,
            chats=chats,
            gold=gold,
        )
        samples, parts, _ = run.write_input(Portion(limit, shard))
        counter = _Counter(config, folder, run, steps, context)
        return counter.counted(samples, parts)


def _last_asking(steps: Sequence[Step]) -> int:
    """How many steps there are up to the last one that asks a language model."""
    return max((place for place, step in enumerate(steps, 1) if asks_model(step)), default=0)


class _Counter:
    """Runs the stages in their order until a request would have to be sent."""

    def __init__(
        self,
        config: SystemConfig,
        folder: RunFolder,
        run: Run,
        steps: Sequence[Step],
        context: BuildContext,
    ) -> None:
        self._config = config
        self._folder = folder
        self._run = run
        self._steps = steps
        self._context = context
        self._notes: list[str] = []

    def counted(self, samples: int, parts: int) -> DryRun:
        """The requests of all stages."""
        stages: list[StageRequests] = []
        done: list[str] = []
        making = self._run.run_stages(samples, parts)
        last = _last_asking(self._steps)
        for position, step in enumerate(self._steps[:last], start=1):
            if asks_model(step):
                stages.append(self._asked(position, step, parts))
                if stages[-1].to_send:
                    break
            try:
                next(making)
            except _NotCached:  # the backend sends more requests after the first answers
                break
            done.append(step.stage.name)
        for step in self._steps[len(done) + 1 : last]:
            if asks_model(step):
                stages.append(self._estimated(step, self._run.job(len(done) + 1).upstream, samples))
        return DryRun(
            self._folder.path,
            samples,
            tuple(done),
            tuple(stages),
            tuple(dict.fromkeys(self._notes)),
        )

    def _asked(self, position: int, step: Step, parts: int) -> StageRequests:
        """The requests of a stage whose input is there, part by part."""
        counter = self._request_counter(step)
        job = self._run.job(position)
        requests = request_maker(self._config, step, self._context)
        with job.open() as work:
            for index in range(parts):
                part = job.upstream.read(index)
                samples = [decode(Sample, line) for line in part.lines] if part else []
                missing = {sample.id for sample in work.missing(index)}
                for prepared in requests(samples):
                    counter.add(prepared, is_made=prepared.subject[0] not in missing)
        return counter.total()

    def _estimated(self, step: Step, upstream: StageFolder, samples: int) -> StageRequests:
        """The requests of a stage whose input is missing so far, from the samples as they are."""
        few = [decode(Sample, line) for line in islice(upstream.lines(), _ESTIMATED_FROM)]
        is_about_entities = step.stage.is_about_entities
        known = not is_about_entities or any(one.entities is not None for one in few)
        if not known:
            self._notes.append(
                f"no names are known yet: {ENTITIES_A_POST} a post are assumed, as in Twitter-GMNER"
            )
        prepared = self._prepared(step, few) if known else ()
        counter = self._request_counter(step)
        if not prepared:
            each = ENTITIES_A_POST if is_about_entities else 1.0
            return counter.unknown(round(samples * each) if not known else 0)
        for one in prepared:
            counter.add_alike(one)
        return counter.total(times=samples / max(1, len(few)), estimated=True)

    def _prepared(self, step: Step, samples: Sequence[Sample]) -> Sequence[PreparedRequest]:
        """Its requests about every sample or entity, whatever the stages before it will answer."""
        items: list[Sample] | list[Mention] = list(samples)
        if step.stage.per is PER_ENTITY:
            items = [Mention(one, entity) for one in samples for entity in one.entities or ()]
        try:
            return prepare_of(step, self._context)(items)
        except Exception:  # it may need answers that are missing so far
            self._notes.append(f"{step.stage.name}: what it asks hangs on answers not there yet")
            return ()

    def _request_counter(self, step: Step) -> RequestCounter:
        llm = getattr(step.config, LLM_FIELD)
        return RequestCounter(step, self._context.chats[llm], self._config.llm[llm])
