"""Runs the stages before the one that is looked at, shows its requests, compares two prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from riveg.config.backend import BuildContext
from riveg.config.system import LLM_FIELD, Step, SystemConfig
from riveg.errors import RivegError, UserError, suggest
from riveg.evaluation.gold import GoldSet
from riveg.llm.conversation import Chat, PreparedRequest
from riveg.llm.prompts import SUFFIX, load_prompt
from riveg.prompt_debug.comparing import compared, consequences
from riveg.prompt_debug.document import SCHEMA, UNASKED, PromptDebug, Side
from riveg.prompt_debug.rows import StageAnswers, shown_sample, side_of
from riveg.prompt_debug.samples import ChosenSamples, gold_for_oracles
from riveg.protocols import ImageSource
from riveg.runs.building import build_context, require_packages
from riveg.runs.llm_requests import NOT_ASKED, answered, asks_model, cached_chats, request_maker
from riveg.stages.chat_backend import HasPrompts
from riveg.types import Gold, Sample

_PROMPT = "prompt"
_USUAL_STAGE = "rewrite"
_LAST = "ground"
"""The last stage that is run on both prompts: what comes after it follows the box."""


class PromptDebugger:
    """Looks at one stage of a system on a few samples.

    Args:
        config: The system.
        chosen: The samples.
        chats: The system's language models.
        images: Where the images are.
        stage: The stage; ``None``: rewriting, or the first stage that asks a language model.
        asks: Whether requests that are not cached are sent.

    Raises:
        UserError: If the system has no such stage, or it asks no language model.
    """

    def __init__(
        self,
        config: SystemConfig,
        chosen: ChosenSamples,
        chats: Mapping[str, Chat],
        images: ImageSource,
        *,
        stage: str | None = None,
        asks: bool = False,
    ) -> None:
        self._config = config
        self._chosen = chosen
        self._asks = asks
        self._chats = cached_chats(chats, asks=asks)
        self._images = images
        self._step = debugged_step(config, stage)
        self._notes: list[str] = []
        self._later_notes: list[str] = []

    def look(self, *prompts: str | None) -> PromptDebug:
        """Everything there is to show.

        Args:
            *prompts: One prompt or two, by name or file; ``None``: the system's own.

        Raises:
            UserError: If a prompt cannot be used; names file, line, and the known variables.
        """
        self._later_notes = []
        steps = [self._with_prompt(prompt) for prompt in prompts]
        # Before anything is sent: a mistake in the second prompt shows before the requests of the
        # first are paid for.
        prepared = [
            request_maker(self._config, step, self._context)(self._samples) for step in steps
        ]
        results = [self._answered(step, each) for step, each in zip(steps, prepared, strict=True)]
        sides = [self._side(step, each) for step, each in zip(steps, results, strict=True)]
        document = self._document(sides)
        return document if len(steps) == 1 else self._with_differences(document, results)

    def prompt_path(self, prompt: str | None) -> Path:
        """The path of a prompt's file.

        Raises:
            UserError: If there is no such prompt.
        """
        name = _prompt_name(self._with_prompt(prompt))
        if name.endswith(SUFFIX):  # the file may have a mistake at the moment
            return self._config.base / name
        return load_prompt(name, folder=self._config.base).path

    def _with_prompt(self, prompt: str | None) -> Step:
        if prompt is None:
            return self._step
        name = str(Path(prompt).absolute()) if prompt.endswith(SUFFIX) else prompt
        field = _prompt_field(self._step)
        return replace(self._step, config=self._step.config.model_copy(update={field: name}))

    @cached_property
    def _samples(self) -> tuple[Sample, ...]:
        """The samples with the answers of every stage before the one that is looked at."""
        samples = self._chosen.samples
        for step in self._config.steps:
            if step.stage.name == self._step.stage.name:
                break
            if step.stage.name not in self._chosen.answered:
                samples, note = self._run_stage(step, samples)
                self._notes += filter(None, [note])
        if not any(sample.entities for sample in samples) and self._is_about_entities:
            self._notes.append("no entity in these posts: nothing to ask about")
        return samples

    @property
    def _is_about_entities(self) -> bool:
        return self._step.stage.is_about_entities

    def _run_stage(
        self, step: Step, samples: tuple[Sample, ...]
    ) -> tuple[tuple[Sample, ...], str | None]:
        """The samples after a stage, and a note if it cannot answer all of them."""
        name = f"{step.stage.name}: {step.config.name}"
        if step.config.oracle and not self._context.gold:
            return samples, f"{name} was left out: it reads gold, which these posts have not"
        try:
            require_packages(step)
            after = answered(self._config, step, self._context, samples)
        except UserError as error:
            return samples, f"{name} was left out: {str(error).removeprefix(name).lstrip()}"
        unasked = sum(
            any(
                issue.stage == step.stage.name and issue.kind == NOT_ASKED
                for issue in sample.issues
            )
            for sample in after
        )
        note = f"{name} has no answer on file for {unasked} of {len(after)} posts (--ask)"
        return after, note if unasked else None

    @cached_property
    def _gold(self) -> GoldSet | None:
        if self._chosen.read_gold is None:
            return None
        try:
            return self._chosen.read_gold()
        except RivegError as error:
            self._notes.append(f"not judged: {error}")
            return None

    @cached_property
    def _context(self) -> BuildContext:
        gold: Mapping[str, Gold] = {}
        if self._gold is not None and any(step.config.oracle for step in self._config.steps):
            found = gold_for_oracles(self._gold, self._chosen.samples)
            gold = {one.sample_id: one for one in found}
        return build_context(self._config, self._images, chats=self._chats, gold=gold)

    def _answered(self, step: Step, prepared: Sequence[PreparedRequest]) -> StageAnswers:
        chat = self._chats[getattr(step.config, LLM_FIELD)]
        were_cached = tuple(chat.cached(one.request) is not None for one in prepared)
        answers = tuple(chat.ask([one.request for one in prepared]))
        samples = answered(self._config, step, self._context, self._samples)
        return StageAnswers(tuple(prepared), answers, were_cached, samples)

    def _side(self, step: Step, found: StageAnswers) -> Side:
        prompt = load_prompt(_prompt_name(step), folder=self._config.base)
        return side_of(step.stage, prompt, self._chats[getattr(step.config, LLM_FIELD)], found)

    def _document(self, sides: Sequence[Side]) -> PromptDebug:
        llm = getattr(self._step.config, LLM_FIELD)
        return PromptDebug(
            schema=SCHEMA,
            system=self._config.name,
            stage=self._step.stage.name,
            backend=self._step.config.name,
            llm=llm,
            model=self._chats[llm].model,
            data=self._chosen.name,
            posts=tuple(map(shown_sample, self._samples)),
            sides=tuple(sides),
            notes=self._all_notes,
        )

    def _with_differences(self, found: PromptDebug, results: Sequence[StageAnswers]) -> PromptDebug:
        rows = compared(found.sides)
        unasked = {row.sample_id for row in rows if row.state == UNASKED}
        followed = {row.sample_id for row in rows} - unasked
        first, second = (
            tuple(sample for sample in result.samples if sample.id in followed)
            for result in results
        )
        stages, later = self._downstream(first, second)
        ran = [
            step.stage.name
            for step in self._config.steps
            if step.stage.name in {*stages, *self._before}
        ]
        judged = self._gold if {"entail", "ground"} & {*stages} else None
        return replace(
            found,
            compared=rows,
            downstream=tuple(stages),
            consequences=tuple(consequences(later, stages, judged, ran)),
            judged=judged is not None,
            notes=self._all_notes,
        )

    @property
    def _all_notes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self._chosen.notes, *self._notes, *self._later_notes]))

    @property
    def _before(self) -> list[str]:
        names = [step.stage.name for step in self._config.steps]
        return names[: names.index(self._step.stage.name) + 1]

    def _downstream(
        self, first: tuple[Sample, ...], second: tuple[Sample, ...]
    ) -> tuple[list[str], tuple[tuple[Sample, ...], tuple[Sample, ...]]]:
        """The stages that were run on both sets of samples, and both sets after them."""
        ran: list[str] = []
        if not first:
            return ran, (first, second)
        for step in self._later:
            if step.stage.name == "observe":
                # It does not depend on entities: one run serves both.
                first, note = self._run_stage(step, first)
                second = tuple(map(_with_observations, second, first))
                notes = [note]
            else:
                first, note = self._run_stage(step, first)
                second, other = self._run_stage(step, second)
                notes = [note, other]
            self._later_notes += filter(None, notes)
            if not any(notes) and step.stage.name != "observe":
                ran.append(step.stage.name)
        return ran, (first, second)

    @property
    def _later(self) -> Iterator[Step]:
        names = [step.stage.name for step in self._config.steps]
        if _LAST not in names:
            return iter(self._config.steps[len(self._before) :])
        return iter(self._config.steps[len(self._before) : names.index(_LAST) + 1])


def debugged_step(config: SystemConfig, stage: str | None) -> Step:
    """The step of a system that is looked at.

    Raises:
        UserError: If the system has no such stage, or it asks no language model.
    """
    asking = {step.stage.name: step for step in config.steps if asks_model(step)}
    if stage is None:
        stage = _USUAL_STAGE if _USUAL_STAGE in asking or not asking else next(iter(asking))
    stage, _, kind = stage.partition(".")
    if stage in asking:
        return _of_kind(asking[stage], kind)
    present = {step.stage.name: step.config.name for step in config.steps}
    advice = f"those that do: {', '.join(asking)}" if asking else "none of its stages does"
    if stage in present:
        what = f"{stage}: {present[stage]} asks no language model"
        raise UserError(f"{config.name}: {what}; {advice} (--set {stage}.backend=chat)")
    raise UserError(f"--stage {stage}: {config.name} has no such stage; {suggest(stage, asking)}")


def _of_kind(step: Step, kind: str) -> Step:
    """The step with one of its prompts alone, where it has several.

    Raises:
        UserError: If it has several and none of them is meant, or one and another is.
    """
    name, config = step.stage.name, step.config
    kinds = [*config.prompt_fields] if isinstance(config, HasPrompts) else []
    if not kinds and kind:
        raise UserError(f"--stage {name}.{kind}: {name} has one prompt; say --stage {name}")
    if not isinstance(config, HasPrompts):
        return step
    kind = kind or (kinds[0] if len(kinds) == 1 else "")
    if kind not in kinds:
        choices = " or ".join(f"--stage {name}.{one}" for one in kinds)
        raise UserError(f"{name}: has a prompt for each kind of question; say {choices}")
    return replace(step, config=config.alone(kind))


def upstream_of(config: SystemConfig, step: Step) -> tuple[str, ...]:
    """The stages before a step, in their order."""
    names = [other.stage.name for other in config.steps]
    return tuple(names[: names.index(step.stage.name)])


def _prompt_name(step: Step) -> str:
    name = getattr(step.config, _prompt_field(step), None)
    if not isinstance(name, str):
        raise UserError(f"{step.stage.name}: {step.config.name} has no prompt that can be chosen")
    return name


def _prompt_field(step: Step) -> str:
    """The field of the prompt; of several, that of the only kind that is asked."""
    if isinstance(step.config, HasPrompts):
        return next(iter(step.config.prompt_fields.values()))
    return _PROMPT


def _with_observations(sample: Sample, other: Sample) -> Sample:
    new = tuple(issue for issue in other.issues if issue.stage == "observe")
    return replace(
        sample,
        observations=other.observations,
        image=other.image,
        issues=(*sample.issues, *new),
    )
