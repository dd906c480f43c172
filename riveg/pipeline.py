"""What a stage is, and how its backend is asked and its answers are joined to the samples.

The rules that hold for every backend stand here once: which items it is asked about, what a sample
without an image means, how one bad item is kept from spoiling its batch, and that every answer is
checked and joined by id. What is particular to a stage is a field of its :class:`Stage`; the stages
themselves are in :mod:`riveg.stages.table`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from riveg.errors import IMAGE_FAULTS, ImageFault, RivegError
from riveg.protocols import (
    AnswerOrIssue,
    HasImageQueue,
    ImageSource,
    Listener,
    Mention,
    PartialAnswer,
    listening,
)
from riveg.reads import Latest, Questions, Reads
from riveg.types import ImageRef, Issue, Sample

log = logging.getLogger(__name__)

Backend = TypeVar("Backend")
Item = TypeVar("Item", bound=Sample | Mention)
Answer = TypeVar("Answer")

Gives = Literal[
    "caption", "knowledge", "entities", "label", "expression", "observations", "groundability",
    "regions", "masks",
]  # fmt: skip


@dataclass(frozen=True)
class Per(Generic[Item]):
    """What a stage is asked about: ``split`` takes a sample apart, ``merge`` puts it together."""

    split: Callable[[Sample], Sequence[Item]]
    merge: Callable[[Sample, Sequence[Item]], Sample]


PER_SAMPLE = Per[Sample](lambda sample: (sample,), lambda _, items: items[0])
PER_ENTITY = Per[Mention](
    lambda sample: tuple(Mention(sample, entity) for entity in sample.entities or ()),
    lambda sample, items: replace(sample, entities=tuple(item.entity for item in items)),
)


@dataclass(frozen=True, kw_only=True)
class Stage(Generic[Backend, Item, Answer]):
    """One step of a system: all that the pipeline, and what prints answers, knows about it.

    Args:
        name: The key in a system file; a verb, and the name of the backends' method.
        folder: Of its backends below ``riveg/stages``.
        per: Whether it is asked about samples or entities.
        needs_entities: Whether a sample is asked about for the entities that it has.
        gives: What its answers settle.
        ask: Calls the backend's method.
        join: The item with an answer in it.
        check: The answer, or what is wrong with it: an Issue, or a partial answer without it.
        needs_image: ``True``: nobody is asked about a sample without an image; ``False``: the
            backend is asked all the same; ``None``: as the backend's configuration says.
        wants: Whether an item is asked about; the second argument is whether a gate decides what
            is grounded.
        unasked: The answer about an item that nobody is asked about; ``None`` where there is none.
        tell: The answer in an item in few words; ``None`` where there is none.
        describe: The answer in an item for somebody who wants to know all, in lines.
        source: Which backend or evidence gave the answer in an item, where the record says so.
        reads: What ``wants``, ``unasked``, ``check`` and ``join`` look at; ``None``: all of it.
    """

    name: str
    folder: str
    per: Per[Item]
    gives: frozenset[Gives]
    ask: Callable[[Backend, Sequence[Item]], Sequence[AnswerOrIssue[Answer]]]
    join: Callable[[Item, Answer], Item]
    check: Callable[[Item, Answer], AnswerOrIssue[Answer]] = lambda _, answer: answer
    needs_image: bool | None = None
    wants: Callable[[Item, bool], bool] = lambda _item, _gated: True
    unasked: Callable[[Item], Answer | Issue | None] = lambda _: None
    tell: Callable[[Item], str | None] = lambda _: None
    describe: Callable[[Item], Iterable[str]]
    source: Callable[[Item], str | None] = lambda _: None
    reads: Reads | None = None
    needs_entities: bool = False

    @property
    def is_about_entities(self) -> bool:
        """Whether another stage has to find entities first."""
        return self.needs_entities or self.per is PER_ENTITY

    def answered(self, item: Item, answer: AnswerOrIssue[Answer]) -> tuple[Item, tuple[Issue, ...]]:
        """The item with as much of an answer as holds, and an Issue for the rest."""
        if isinstance(answer, PartialAnswer):
            whole, issues = self.answered(item, answer.answer)
            return whole, (*issues, *answer.issues)
        if isinstance(answer, Issue):
            return item, (answer,)
        checked = self.check(item, answer)
        if isinstance(checked, PartialAnswer):
            return self.join(item, checked.answer), checked.issues
        if isinstance(checked, Issue):
            return item, (checked,)
        return self.join(item, checked), ()


AnyStage: TypeAlias = Stage[Any, Any, Any]
"""A stage whose items and answers do not matter where it is held."""


class StageRunner(Generic[Backend, Item, Answer]):
    """Asks one backend about batches of samples.

    Args:
        stage: The stage.
        backend: Its live backend.
        images: Opens each image once before a backend that needs it is asked.
        needs_image: Whether the backend opens images.
        batch_size: Samples a call.
        gated: Whether a stage before decides what is grounded.
        reads: What stage and backend read: the backend sees nothing else, and equal questions are
            asked once. ``None``: it sees everything and is asked every question.
        most_kept: Answers that are kept for equal questions of later batches.
    """

    def __init__(
        self,
        stage: Stage[Backend, Item, Answer],
        backend: Backend,
        images: ImageSource,
        *,
        needs_image: bool,
        batch_size: int,
        gated: bool,
        reads: Reads | None = None,
        most_kept: int = 0,
    ) -> None:
        self._stage = stage
        self._images = images
        self._questions = (
            None
            if reads is None
            else Questions[Item, Answer](reads, self._stamp, most_kept=most_kept)
        )
        self._probed_images = Latest[tuple[str, str], ImageRef](most_kept)
        self._backend = backend
        self._queue = backend.image_queue if isinstance(backend, HasImageQueue) else None
        self._probe = images.probe if self._queue is None else self._queue.probe
        self._opens_images = needs_image
        self._needs_image = needs_image if stage.needs_image is None else stage.needs_image
        self._batch_size = batch_size
        self._gated = gated

    def __call__(
        self, samples: Sequence[Sample], finished: Listener | None = None
    ) -> Iterator[Sample]:
        """The samples with this stage's answers, in order; nothing that came in is changed.

        Args:
            samples: What is asked about.
            finished: Hears how many more samples are finished, as far as the backend tells it
                before their batch is done.
        """
        batches = [
            samples[start : start + self._batch_size]
            for start in range(0, len(samples), self._batch_size)
        ]
        if self._queue is not None:
            self._queue.expect(list(self._expected(batches)))
        for batch in batches:
            probed = [self._probed(sample) for sample in batch]
            yield from self._answer(probed, finished)

    def close(self) -> None:
        """Releases what the backend holds besides memory."""
        if self._queue is not None:
            self._queue.close()

    def _expected(self, batches: Iterable[Sequence[Sample]]) -> Iterator[ImageRef]:
        """The images that the backend will be asked about, each batch's once, as far as is known.

        Not those of questions that will have an answer by then.
        """
        planned: set[bytes] = set()
        for batch in batches:
            split = map(self._stage.per.split, batch)
            asked = [item for items in split for item in items if self._asks(item)]
            if self._questions is not None:
                new = self._questions.new(asked, planned)
                planned.update(new)
                asked = list(new.values())
            images = (_sample_of(item).image for item in asked)
            yield from {image.path: image for image in images if image is not None}.values()

    def _stamp(self, sample: Sample) -> str | None:
        if not self._opens_images:
            return None
        return "" if sample.image is None else self._images.stamp(sample.image)

    def _probed(self, sample: Sample) -> Sample:
        """The sample with the sides of its image, or with an Issue that says what is wrong."""
        image = sample.image
        if not self._opens_images or image is None or image.width or is_image_broken(sample):
            return sample
        place = image.path, self._images.stamp(image)
        try:
            probed = self._probed_images.get(place) or self._probe(image)
        except ImageFault as fault:
            return _with_issues(sample, [Issue(self._stage.name, None, fault.kind, str(fault))])
        self._probed_images.put(place, probed)
        return replace(sample, image=probed)

    def _answer(self, batch: Sequence[Sample], finished: Listener | None) -> Iterator[Sample]:
        split = [self._stage.per.split(sample) for sample in batch]
        asked = [item for items in split for item in items if self._asks(item)]
        samples_asked = len({_sample_of(item).id for item in asked})

        def ask(items: Sequence[Item]) -> Sequence[AnswerOrIssue[Answer]]:
            with listening(_in_samples(finished, len(items), samples_asked)):
                return self._answers(items)

        found = ask(asked) if self._questions is None else self._questions.answers(asked, ask)
        answers = {_key(item): answer for item, answer in zip(asked, found, strict=True)}
        for sample, items in zip(batch, split, strict=True):
            joined: list[Item] = []
            issues: list[Issue] = []
            for item in items:
                if _key(item) in answers:
                    answered, missing = self._joined(item, answers[_key(item)])
                else:
                    answered, missing = self._without_asking(item)
                joined.append(answered)
                issues += missing
            merged = self._stage.per.merge(sample, joined) if joined else sample
            yield _with_issues(merged, issues) if issues else merged

    def _asks(self, item: Item) -> bool:
        sample = _sample_of(item)
        if _has_no_text(sample):
            return False
        if self._needs_image and (sample.image is None or is_image_broken(sample)):
            return False
        return self._stage.wants(item, self._gated)

    def _joined(
        self, item: Item, answer: AnswerOrIssue[Answer] | None
    ) -> tuple[Item, tuple[Issue, ...]]:
        """The item with a backend's answer; what is no answer at all is the backend's fault."""
        try:
            if answer is None:
                raise TypeError("the backend gave None, which is no answer")
            return self._stage.answered(item, answer)
        except (RivegError, MemoryError):
            raise
        except Exception as error:
            return item, (self._fault(item, error),)

    def _without_asking(self, item: Item) -> tuple[Item, tuple[Issue, ...]]:
        sample = _sample_of(item)
        if _has_no_text(sample) or is_image_broken(sample):
            return item, ()  # an Issue says why
        answer = self._stage.unasked(item)
        return (item, ()) if answer is None else self._stage.answered(item, answer)

    def _answers(self, items: Sequence[Item]) -> Sequence[AnswerOrIssue[Answer]]:
        if not items:
            return ()
        try:
            answers = self._stage.ask(self._backend, items)
        except (RivegError, MemoryError):
            raise
        except Exception as error:
            if len(items) == 1:
                return (self._fault(items[0], error),)
            log.info("%s: a batch failed (%s), asking one by one", self._stage.name, error)
            return [answer for item in items for answer in self._answers([item])]
        if len(answers) != len(items):
            raise RivegError(
                f"{self._stage.name}: the backend gave {len(answers)} answers to {len(items)} "
                "questions; this is a fault of the backend"
            )
        return answers

    def _fault(self, item: Item, error: Exception) -> Issue:
        log.warning("%s: %s", self._stage.name, error, exc_info=error)
        message = f"{type(error).__name__}: {error}"
        return Issue(self._stage.name, _key(item)[1], "backend-error", message)


AnyStageRunner: TypeAlias = StageRunner[Any, Any, Any]


def is_image_broken(sample: Sample) -> bool:
    """Whether a stage has found that the sample's image cannot be used."""
    return any(issue.entity_id is None and issue.kind in IMAGE_FAULTS for issue in sample.issues)


def _in_samples(finished: Listener | None, items: int, samples: int) -> Listener:
    """Hears of items of so many samples, and tells ``finished`` how many of these that makes."""
    heard = told = 0

    def hear(more: int) -> None:
        nonlocal heard, told
        heard = min(heard + more, items)
        new = samples * heard // items - told if items else 0
        told += new
        if new and finished is not None:
            finished(new)

    return hear


def _has_no_text(sample: Sample) -> bool:
    return any(issue.stage == "input" for issue in sample.issues)


def _with_issues(sample: Sample, issues: Iterable[Issue]) -> Sample:
    return replace(sample, issues=(*sample.issues, *issues))


def _sample_of(item: Sample | Mention) -> Sample:
    return item.sample if isinstance(item, Mention) else item


def _key(item: Sample | Mention) -> tuple[str, str | None]:
    """Ids of the sample and, for a mention, of the entity: answers are joined by them."""
    if isinstance(item, Mention):
        return item.sample.id, item.entity.id
    return item.id, None
