"""What a run would ask its language models, and what that costs: counted, not asked.

Local stages are run, in the run folder, as far as their input is there; so are stages whose every
answer is on file. Nothing is sent. The first stage with a question to send ends that: what comes
after it is estimated from the samples as they are then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from riveg.config.backend import BuildContext
from riveg.config.system import LLM_FIELD, Step, SystemConfig
from riveg.errors import RivegError
from riveg.formats.records import decode
from riveg.images.loader import ImageLoader
from riveg.llm.conversation import Chat, Prepared, Question, Reply, TokenCount
from riveg.llm.endpoint import Endpoint
from riveg.protocols import Mention
from riveg.runs.building import require_packages
from riveg.runs.checks import gold_of, require_images, require_same_origin
from riveg.runs.folder import RunFolder, StageFolder
from riveg.runs.llm_questions import asks_model, identity, prepare_of, questions_of
from riveg.runs.progress import Progress, Silence
from riveg.runs.run import Run
from riveg.runs.sources import DataSource
from riveg.runs.stage_job import StageTask
from riveg.runs.system import ANSWERS
from riveg.types import Sample

ENTITIES_A_POST = 1.7
"""Entities assumed for a sample that is not tagged yet: the mean of Twitter-GMNER's train split."""

_LOOKED_AT = 200
"""Samples from which an estimate of tokens is made."""


@dataclass(frozen=True, slots=True)
class Requests:
    """What one stage would ask.

    Args:
        stage: The stage.
        llm: The model's name in the system.
        model: Its id.
        requests: Questions in all, the same question counted once.
        answered: Those whose answer is on file.
        to_send: The others.
        prompt_tokens: Tokens of those to be sent; ``None`` where nobody can tell yet.
        exact: Whether the model's own tokenizer has counted them.
        answer_tokens: Tokens of their answers, at most; ``None`` where nobody can tell yet.
        cost: At most, in ``currency``; ``None`` without prices, or where nobody can tell yet.
        currency: Of the prices.
        estimated: Whether the stage's input is not there yet: then nothing is known to be answered.
    """

    stage: str
    llm: str
    model: str
    requests: int
    answered: int
    to_send: int
    prompt_tokens: int | None
    exact: bool
    answer_tokens: int | None
    cost: float | None
    currency: str | None
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a run would ask.

    Args:
        folder: The run folder.
        samples: How many samples there are.
        done: Stages whose records are in the folder now.
        stages: What each stage that asks a language model would ask.
        notes: What an estimate is made from.
    """

    folder: Path
    samples: int
    done: tuple[str, ...]
    stages: tuple[Requests, ...]
    notes: tuple[str, ...] = ()


class NotOnFile(RivegError):
    """A question has no answer on file, and nothing is to be sent."""


class _AnswersOnFile:
    """A model of which only the answers on file are to be had."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    @property
    def model(self) -> str:
        return self._chat.model

    def ask(self, questions: Sequence[Question]) -> Sequence[Reply]:
        replies = [self.stored(question) for question in questions]
        found = [reply for reply in replies if reply is not None]
        if len(found) < len(replies):
            raise NotOnFile(f"{len(replies) - len(found)} questions have no answer on file")
        return found

    def stored(self, question: Question) -> Reply | None:
        return self._chat.stored(question)

    def count(self, question: Question) -> TokenCount:
        return self._chat.count(question)


def dry_run(
    config: SystemConfig,
    source: DataSource,
    out: Path,
    *,
    limit: int | None = None,
    until: str | None = None,
    retry_failed: bool = False,
    progress: Progress | None = None,
) -> DryRun:
    """Counts what ``riveg run`` with the same arguments would ask; arguments as there.

    Raises:
        UserError: As a run would.
    """
    from riveg.llm.answer_store import AnswerStore
    from riveg.llm.pool import Models

    progress = progress or Silence()
    folder = RunFolder(out)
    steps = config.until(until)
    for step in steps[: _last_asking(steps)]:
        require_packages(step)
    require_images(steps, source)
    images = ImageLoader(source.image_roots)
    with (
        folder.lock(),
        AnswerStore(out / ANSWERS) as store,
        Models(config.llm, store=store, images=images, say=progress.note) as models,
    ):
        require_same_origin(folder, config, source)
        context = BuildContext(
            images=images,
            base=config.base,
            gold=gold_of(source, steps),
            chats={name: _AnswersOnFile(chat) for name, chat in models.items()},
            labels=config.labels,
        )
        run = Run(
            config,
            source,
            folder,
            steps=steps,
            retry_failed=retry_failed,
            progress=progress,
            context=context,
        )
        samples, parts = run.write_input(limit)
        counter = _Counter(config, folder, run, steps, context, retry_failed=retry_failed)
        return counter.counted(samples, parts)


def _last_asking(steps: Sequence[Step]) -> int:
    """How many steps there are up to the last one that asks a language model."""
    return max((place for place, step in enumerate(steps, 1) if asks_model(step)), default=0)


class _Counter:
    """Goes through the stages of a run as far as nothing has to be sent."""

    def __init__(
        self,
        config: SystemConfig,
        folder: RunFolder,
        run: Run,
        steps: Sequence[Step],
        context: BuildContext,
        *,
        retry_failed: bool,
    ) -> None:
        self._config = config
        self._folder = folder
        self._run = run
        self._steps = steps
        self._context = context
        self._retry_failed = retry_failed
        self._notes: list[str] = []

    def counted(self, samples: int, parts: int) -> DryRun:
        """What is asked, stage by stage."""
        stages: list[Requests] = []
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
            except NotOnFile:  # a backend that asks again, after its first answers
                break
            done.append(step.stage.name)
        for step in self._steps[len(done) + 1 : last]:
            if asks_model(step):
                stages.append(self._estimated(step, self._upstream(len(done) + 1), samples))
        return DryRun(
            self._folder.path,
            samples,
            tuple(done),
            tuple(stages),
            tuple(dict.fromkeys(self._notes)),
        )

    def _upstream(self, position: int) -> StageFolder:
        """Where the records lie that the stage at this position, from 1, is asked about."""
        if position == 1:
            return self._folder.input
        return self._folder.stage(position - 1, self._steps[position - 2].stage.name)

    def _asked(self, position: int, step: Step, parts: int) -> Requests:
        """Counts a stage whose input is there, part by part."""
        tally = _Tally(self._context.chats[getattr(step.config, LLM_FIELD)])
        upstream = self._upstream(position)
        for index in range(parts):
            part = upstream.read(index)
            samples = [decode(Sample, line) for line in part.lines] if part else []
            waiting = {sample.id for sample in self._waiting(position, step, index)}
            for prepared in questions_of(self._config, step, self._context, samples):
                tally.add(prepared, is_made=prepared.subject[0] not in waiting)
        return self._requests(step, tally)

    def _waiting(self, position: int, step: Step, index: int) -> list[Sample]:
        """The samples of a part that a run would still make; those that it keeps ask nothing."""
        waiting: list[Sample] = []

        def listen(samples: Sequence[Sample]) -> Iterator[Sample]:
            waiting.extend(samples)
            raise _Heard

        task = StageTask(
            step=step,
            upstream=self._upstream(position),
            folder=self._folder.stage(position, step.stage.name),
            fingerprint=self._run.fingerprint(step),
            images=self._context.images,
            build=lambda: listen,  # type: ignore[arg-type, return-value]
            retry_failed=self._retry_failed,
        )
        with suppress(_Heard):
            task(index)
        return waiting

    def _estimated(self, step: Step, upstream: StageFolder, samples: int) -> Requests:
        """A stage whose input is not there yet, from the samples as they are."""
        looked_at = [decode(Sample, line) for line in islice(upstream.lines(), _LOOKED_AT)]
        is_about_entities = step.stage.asks_about == "entity"
        known = not is_about_entities or any(one.entities is not None for one in looked_at)
        if not known:
            self._notes.append(
                f"no names are known yet: {ENTITIES_A_POST} a post are assumed, as in Twitter-GMNER"
            )
        prepared = self._prepared(step, looked_at) if known else ()
        times = samples / max(1, len(looked_at))
        if not prepared:
            each = ENTITIES_A_POST if is_about_entities else 1.0
            return self._unknown(step, round(samples * each) if not known else 0)
        tally = _Tally(self._context.chats[getattr(step.config, LLM_FIELD)])
        for one in prepared:
            tally.add(one, is_made=False, is_known=False)
        return self._requests(step, tally, times=times, estimated=True)

    def _prepared(self, step: Step, samples: Sequence[Sample]) -> Sequence[Prepared]:
        """Its questions about every sample or name, whatever the stages before it will say."""
        items: list[Sample] | list[Mention] = list(samples)
        if step.stage.asks_about == "entity":
            items = [Mention(one, entity) for one in samples for entity in one.entities or ()]
        try:
            return prepare_of(step, self._context)(items)
        except Exception:  # it may well need what is not there yet
            self._notes.append(f"{step.stage.name}: what it asks hangs on answers not there yet")
            return ()

    def _unknown(self, step: Step, requests: int) -> Requests:
        llm = getattr(step.config, LLM_FIELD)
        model = self._context.chats[llm].model
        return Requests(
            step.stage.name, llm, model, requests, 0, requests, None, False, None, None, None, True
        )

    def _requests(
        self, step: Step, tally: _Tally, *, times: float = 1.0, estimated: bool = False
    ) -> Requests:
        llm = getattr(step.config, LLM_FIELD)
        prompt, answer = round(tally.prompt_tokens * times), round(tally.answer_tokens * times)
        endpoint = self._config.llm[llm]
        return Requests(
            stage=step.stage.name,
            llm=llm,
            model=self._context.chats[llm].model,
            requests=round(len(tally.seen) * times),
            answered=tally.answered,
            to_send=round((len(tally.seen) - tally.answered) * times),
            prompt_tokens=prompt,
            exact=tally.exact and not estimated,
            answer_tokens=answer,
            cost=cost_of(endpoint, prompt, answer),
            currency=None if endpoint.prices is None else endpoint.prices.currency,
            estimated=estimated,
        )


class _Heard(Exception):
    """Ends a stage that only listens before it writes anything."""


class _Tally:
    """Counts questions, each once."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self.seen: set[object] = set()
        self.answered = 0
        self.prompt_tokens = 0
        self.answer_tokens = 0
        self.exact = True

    def add(self, prepared: Prepared, *, is_made: bool, is_known: bool = True) -> None:
        """Counts a question.

        Args:
            prepared: The question.
            is_made: Whether its records are made already.
            is_known: Whether this is the question that will be asked, and not one like it.
        """
        question = prepared.question
        key: object = identity(question) if is_known else prepared.subject
        if key in self.seen:
            return
        self.seen.add(key)
        if is_made or (is_known and self._chat.stored(question) is not None):
            self.answered += 1
            return
        count = self._chat.count(question)
        self.prompt_tokens += count.tokens
        self.exact = self.exact and count.exact
        self.answer_tokens += question.max_tokens


def cost_of(endpoint: Endpoint, prompt_tokens: int, answer_tokens: int) -> float | None:
    """What so many tokens cost, in the currency of the endpoint's prices; ``None`` without such."""
    prices = endpoint.prices
    if prices is None:
        return None
    return (prompt_tokens * prices.input + answer_tokens * prices.output) / 1e6
