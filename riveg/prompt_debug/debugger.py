"""Brings samples to a stage, renders its questions, and finds out what a second prompt changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from riveg.config.backend import BuildContext
from riveg.config.system import LLM_FIELD, Step, SystemConfig
from riveg.errors import RivegError, UserError
from riveg.evaluation.gold import GoldSet
from riveg.geometry.boxes import box_text
from riveg.llm.conversation import AttachedImage, Chat, Message, NoReply, Prepared, Reply
from riveg.llm.prompts import SUFFIX, Prompt, load_prompt
from riveg.prompt_debug.comparing import compared, consequences
from riveg.prompt_debug.document import (
    SCHEMA,
    UNASKED,
    ModelAnswer,
    Named,
    Parsed,
    Post,
    PromptDebug,
    PromptUsed,
    Row,
    Said,
    Side,
    Variable,
)
from riveg.prompt_debug.posts import Posts, gold_for_oracles
from riveg.prompt_debug.told import source_of, told_of_entity, told_of_sample
from riveg.protocols import ImageSource
from riveg.registry import suggest
from riveg.runs.building import require_packages
from riveg.runs.llm_questions import NOT_ASKED, answered, asks_model, filed, questions_of
from riveg.types import Entity, Gold, Sample

_PROMPT = "prompt"
_USUAL_STAGE = "rewrite"
_ENDS_WITH = "ground"
"""The last stage that is run to see what a prompt changes: pixels follow the box."""


class PromptDebugger:
    """Looks at one stage of a system over a few samples.

    Args:
        config: The system.
        samples: The samples.
        chats: The system's language models.
        images: Where images are.
        stage: The stage; ``None``: rewriting, or the first stage that asks a language model.
        asks: Whether questions without an answer on file are sent.

    Raises:
        UserError: If the system has no such stage, or it asks no language model.
    """

    def __init__(
        self,
        config: SystemConfig,
        posts: Posts,
        chats: Mapping[str, Chat],
        images: ImageSource,
        *,
        stage: str | None = None,
        asks: bool = False,
    ) -> None:
        self._config = config
        self._posts = posts
        self._asks = asks
        self._chats = filed(chats, asks=asks)
        self._images = images
        self._step = debugged_step(config, stage)
        self._notes: list[str] = []
        self._later_notes: list[str] = []

    def look(self, *prompts: str | None) -> PromptDebug:
        """Everything there is to show.

        Args:
            *prompts: One prompt or two, by name or file; ``None``: the system's own.

        Raises:
            UserError: If a prompt cannot be used; says file, line, and the variables there are.
        """
        self._later_notes = []
        steps = [self._with_prompt(prompt) for prompt in prompts]
        # All before anything is asked: a mistake in the second prompt shows before the first one's
        # questions are paid for.
        prepared = [
            questions_of(self._config, step, self._context, self._samples) for step in steps
        ]
        results = [self._answered(step, each) for step, each in zip(steps, prepared, strict=True)]
        views = [
            self._side(step, each, after)
            for step, each, after in zip(steps, prepared, results, strict=True)
        ]
        found = self._document(views)
        return found if len(steps) == 1 else self._with_differences(found, results)

    def prompt_path(self, prompt: str | None) -> Path:
        """Where a prompt's file lies.

        Raises:
            UserError: If there is no such prompt.
        """
        name = _named(self._with_prompt(prompt))
        if name.endswith(SUFFIX):  # which may have a mistake in it for now
            return self._config.base / name
        return load_prompt(name, folder=self._config.base).path

    def _with_prompt(self, prompt: str | None) -> Step:
        if prompt is None:
            return self._step
        name = str(Path(prompt).absolute()) if prompt.endswith(SUFFIX) else prompt
        return replace(self._step, config=self._step.config.model_copy(update={_PROMPT: name}))

    @cached_property
    def _samples(self) -> tuple[Sample, ...]:
        """The samples with the answers of every stage before the one looked at."""
        samples = self._posts.samples
        for step in self._config.steps:
            if step.stage.name == self._step.stage.name:
                break
            if step.stage.name not in self._posts.answered:
                samples, note = self._one_stage(step, samples)
                self._notes += filter(None, [note])
        if not any(sample.entities for sample in samples) and self._is_about_entities:
            self._notes.append("no entity in these posts: nothing to ask about")
        return samples

    @property
    def _is_about_entities(self) -> bool:
        return self._step.stage.asks_about == "entity"

    def _one_stage(
        self, step: Step, samples: tuple[Sample, ...]
    ) -> tuple[tuple[Sample, ...], str | None]:
        """The samples after a stage, and what is missing where it cannot answer all of them."""
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
        if self._posts.read_gold is None:
            return None
        try:
            return self._posts.read_gold()
        except RivegError as error:
            self._notes.append(f"not judged: {error}")
            return None

    @cached_property
    def _context(self) -> BuildContext:
        gold: Mapping[str, Gold] = {}
        if self._gold is not None and any(step.config.oracle for step in self._config.steps):
            found = gold_for_oracles(self._gold, self._posts.samples)
            gold = {one.sample_id: one for one in found}
        return BuildContext(
            images=self._images,
            base=self._config.base,
            gold=gold,
            chats=self._chats,
            labels=self._config.labels,
        )

    def _answered(self, step: Step, prepared: Sequence[Prepared]) -> _Answered:
        chat = self._chats[getattr(step.config, LLM_FIELD)]
        on_file = [chat.stored(one.question) is not None for one in prepared]
        replies = chat.ask([one.question for one in prepared])
        samples = answered(self._config, step, self._context, self._samples)
        return _Answered(samples, tuple(replies), tuple(on_file))

    def _side(self, step: Step, prepared: Sequence[Prepared], after: _Answered) -> Side:
        prompt = load_prompt(_named(step), folder=self._config.base)
        chat = self._chats[getattr(step.config, LLM_FIELD)]
        shared = _shared([one.question.messages for one in prepared])
        given = [tuple(_variables(one, prompt)) for one in prepared]
        constants = _same_in_all(given)
        by_id = {sample.id: sample for sample in after.samples}
        rows = []
        for one, own, reply, was_on_file in zip(
            prepared, given, after.replies, after.on_file, strict=True
        ):
            sample_id, entity_ids = one.subject
            count = chat.count(one.question)
            answer = _model_answer(reply, was_on_file)
            parsed = _parsed(step.stage.name, by_id[sample_id], entity_ids) if answer else ()
            rows.append(
                Row(
                    sample_id,
                    entity_ids,
                    tuple(map(_said, one.question.messages[shared:])),
                    tuple(value for value in own if value not in constants),
                    count.tokens,
                    count.exact,
                    answer,
                    tuple(parsed),
                )
            )
        constant = prepared[0].question.messages[:shared] if prepared else ()
        used = PromptUsed(prompt.name, str(prompt.path), prompt.fingerprint)
        return Side(used, tuple(map(_said, constant)), constants, tuple(rows))

    def _document(self, sides: Sequence[Side]) -> PromptDebug:
        llm = getattr(self._step.config, LLM_FIELD)
        return PromptDebug(
            schema=SCHEMA,
            system=self._config.name,
            stage=self._step.stage.name,
            backend=self._step.config.name,
            llm=llm,
            model=self._chats[llm].model,
            data=self._posts.name,
            posts=tuple(map(_post, self._samples)),
            sides=tuple(sides),
            notes=self._all_notes,
        )

    def _with_differences(self, found: PromptDebug, results: Sequence[_Answered]) -> PromptDebug:
        both = results[0].samples, results[1].samples
        rows = compared(found.sides)
        followed = {row.sample_id for row in rows} - {
            row.sample_id for row in rows if row.state == UNASKED
        }
        kept = [tuple(sample for sample in samples if sample.id in followed) for samples in both]
        stages, later = self._downstream(kept[0], kept[1])
        ran = [
            step.stage.name
            for step in self._config.steps
            if step.stage.name in {*stages, *self._before}
        ]
        judged = self._gold if {"entail", "ground"} & {*stages} else None
        became = consequences(later, stages, judged, ran)
        return replace(
            found,
            compared=rows,
            downstream=tuple(stages),
            consequences=tuple(became),
            judged=judged is not None,
            notes=self._all_notes,
        )

    @property
    def _all_notes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self._posts.notes, *self._notes, *self._later_notes]))

    @property
    def _before(self) -> list[str]:
        names = [step.stage.name for step in self._config.steps]
        return names[: names.index(self._step.stage.name) + 1]

    def _downstream(
        self, first: tuple[Sample, ...], second: tuple[Sample, ...]
    ) -> tuple[list[str], tuple[tuple[Sample, ...], tuple[Sample, ...]]]:
        """Both sets of samples after the later stages, and which stages those were."""
        ran: list[str] = []
        if not first:
            return ran, (first, second)
        for step in self._later:
            if step.stage.name == "observe":
                # It looks at the image before anybody asks for an entity: once is enough.
                first, note = self._one_stage(step, first)
                second = tuple(map(_observed, second, first))
                notes = [note]
            else:
                first, note = self._one_stage(step, first)
                second, other = self._one_stage(step, second)
                notes = [note, other]
            self._later_notes += filter(None, notes)
            if not any(notes) and step.stage.name != "observe":
                ran.append(step.stage.name)
        return ran, (first, second)

    @property
    def _later(self) -> Iterator[Step]:
        names = [step.stage.name for step in self._config.steps]
        if _ENDS_WITH not in names:
            return iter(self._config.steps[len(self._before) :])
        return iter(self._config.steps[len(self._before) : names.index(_ENDS_WITH) + 1])


@dataclass(frozen=True, slots=True)
class _Answered:
    """The samples after the stage, and what each question was answered with."""

    samples: tuple[Sample, ...]
    replies: tuple[Reply | NoReply, ...]
    on_file: tuple[bool, ...]


def debugged_step(config: SystemConfig, stage: str | None) -> Step:
    """The step of a system that is to be looked at.

    Raises:
        UserError: If the system has no such stage, or it asks no language model.
    """
    asking = {step.stage.name: step for step in config.steps if asks_model(step)}
    if stage is None:
        stage = _USUAL_STAGE if _USUAL_STAGE in asking or not asking else next(iter(asking))
    if stage in asking:
        return asking[stage]
    present = {step.stage.name: step.config.name for step in config.steps}
    advice = f"those that do: {', '.join(asking)}" if asking else "none of its stages does"
    if stage in present:
        what = f"{stage}: {present[stage]} asks no language model"
        raise UserError(f"{config.name}: {what}; {advice} (--set {stage}.backend=chat)")
    raise UserError(f"--stage {stage}: {config.name} has no such stage; {suggest(stage, asking)}")


def upstream_of(config: SystemConfig, step: Step) -> tuple[str, ...]:
    """The stages before a step, in their order."""
    names = [other.stage.name for other in config.steps]
    return tuple(names[: names.index(step.stage.name)])


def _named(step: Step) -> str:
    name = getattr(step.config, _PROMPT, None)
    if not isinstance(name, str):
        raise UserError(f"{step.stage.name}: {step.config.name} has no prompt that can be chosen")
    return name


def _shared(conversations: Sequence[tuple[Message, ...]]) -> int:
    """How many messages from the first are the same in all questions; never all of them."""
    if len(conversations) < 2:
        return 0
    shared = 0
    for same in zip(*conversations, strict=False):
        if any(message != same[0] for message in same):
            break
        shared += 1
    return min(shared, min(map(len, conversations)) - 1)


def _said(message: Message) -> Said:
    return Said(message.role, message.text, tuple(map(_image, message.images)))


def _image(image: AttachedImage) -> str:
    if image.crop is None:
        return image.image.path
    return f"{image.image.path} [{box_text(image.crop)}]"


def _variables(prepared: Prepared, prompt: Prompt) -> Iterator[Variable]:
    for name, given in prepared.given.items():
        yield Variable(name, shown(given.value), given.source, name in prompt.variables)


def _same_in_all(given: Sequence[tuple[Variable, ...]]) -> tuple[Variable, ...]:
    if len(given) < 2:
        return ()
    return tuple(one for one in given[0] if all(one in others for others in given))


def shown(value: Any) -> str:
    """A value in words: a text as it is, several values one a line, or in a row where short.

    >>> shown(("PER", "LOC")), shown(None), shown("")
    ('PER, LOC', '(none)', '(empty)')
    >>> shown([{"id": "e0", "text": "Ada"}])
    'id: e0, text: Ada'
    """
    if value is None:
        return "(none)"
    if isinstance(value, str):
        return value or "(empty)"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {shown(one)}" for key, one in value.items()) or "(empty)"
    if isinstance(value, Sequence):
        apart = "\n" if any(isinstance(one, Mapping) for one in value) else ", "
        return apart.join(map(shown, value)) or "(empty)"
    return str(value)


def _model_answer(reply: Reply | NoReply, was_on_file: bool) -> ModelAnswer | None:
    if isinstance(reply, Reply):
        return ModelAnswer(
            reply.raw.text,
            reply.raw.finish_reason,
            reply.path,
            on_file=was_on_file,
            prompt_tokens=reply.prompt_tokens,
            answer_tokens=reply.answer_tokens,
            latency_s=reply.latency_s,
        )
    if reply.kind == NOT_ASKED:
        return None
    raw = reply.raw
    return ModelAnswer(
        None if raw is None else raw.text,
        None if raw is None else raw.finish_reason,
        None,
        fault=reply.kind,
        message=reply.message,
    )


def _parsed(stage: str, sample: Sample, entity_ids: Sequence[str]) -> Iterator[Parsed]:
    issues = {
        issue.entity_id: f"{issue.kind}: {issue.message}"
        for issue in sample.issues
        if issue.stage == stage
    }
    if not entity_ids:
        yield Parsed(None, told_of_sample(stage, sample), None, issues.get(None))
    by_id = {entity.id: entity for entity in sample.entities or ()}
    for entity_id in entity_ids:
        entity = by_id.get(entity_id)
        issue = issues.get(entity_id) or issues.get(None)
        if entity is None or issue is not None:
            yield Parsed(entity_id, None, None, issue)
        else:
            yield Parsed(entity_id, told_of_entity(stage, entity), source_of(stage, entity))


def _post(sample: Sample) -> Post:
    named = tuple(map(_name, sample.entities or ()))
    return Post(sample.id, sample.text, sample.image.path if sample.image else None, named)


def _name(entity: Entity) -> Named:
    return Named(entity.id, entity.text, entity.label)


def _observed(sample: Sample, other: Sample) -> Sample:
    new = tuple(issue for issue in other.issues if issue.stage == "observe")
    return replace(
        sample,
        observations=other.observations,
        image=other.image,
        issues=(*sample.issues, *new),
    )
