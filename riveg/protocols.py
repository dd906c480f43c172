"""What a backend of each stage must be able to do.

A protocol's method takes a batch and gives back a sequence of the same length and order. Every item
of it is an answer, an :class:`~riveg.types.Issue`, or a :class:`PartialAnswer`. A backend answers a
batch exactly as it would answer each item alone. Mentions of one sample arrive together, in the
sample's order. :mod:`riveg.stages.table` says which stage asks which protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

from riveg.types import (
    Entailment,
    Entity,
    Expression,
    ImageRef,
    Issue,
    Mask,
    Observation,
    Region,
    Sample,
)

if TYPE_CHECKING:
    from riveg.geometry.arrays import Pixels


@dataclass(frozen=True, slots=True)
class Mention:
    """One entity together with the sample it stands in."""

    sample: Sample
    entity: Entity


Answer_co = TypeVar("Answer_co", covariant=True)


@dataclass(frozen=True, slots=True)
class PartialAnswer(Generic[Answer_co]):
    """An answer that lacks something; each Issue says what."""

    answer: Answer_co
    issues: tuple[Issue, ...]


AnswerOrIssue: TypeAlias = Answer_co | PartialAnswer[Answer_co] | Issue
"""What a backend gives for every item that it is asked about."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """A reranker's answer: the label, and the label distribution (sums to 1) where there is one.

    The same of fine labels, ``None`` where it decides none: an entity keeps its own with its label.
    """

    label: str
    label_scores: Mapping[str, float] | None
    fine_label: str | None = None
    fine_label_scores: Mapping[str, float] | None = None


class ImageSource(Protocol):
    """Where stages get images from; load and probe raise :class:`~riveg.errors.ImageFault`."""

    def load(self, image: ImageRef) -> Pixels:
        """The upright image, RGB, *shape* ``(height, width, 3)``, values in [0, 255]."""

    def probe(self, image: ImageRef) -> ImageRef:
        """The same reference with the upright image's width and height filled in."""

    def stamp(self, image: ImageRef) -> str:
        """A short text that changes when the image does; opens nothing, raises nothing."""


class ImageQueue(Protocol):
    """Opens images ahead of a backend, which tells what comes next."""

    def expect(self, images: Sequence[ImageRef]) -> None:
        """Images that will be asked about, in order; replaces what was expected before."""

    def probe(self, image: ImageRef) -> ImageRef:
        """As an image source's; an image that is expected is not opened once more."""

    def close(self) -> None:
        """No more images are asked about."""


@runtime_checkable
class HasImageQueue(Protocol):
    """A backend whose images are opened ahead."""

    @property
    def image_queue(self) -> ImageQueue:
        """Where it takes them from."""


class Captioner(Protocol):
    """Puts an image into words."""

    def caption(self, samples: Sequence[Sample]) -> Sequence[AnswerOrIssue[str]]:
        """One sentence or more about each image."""


class Augmenter(Protocol):
    """Adds what the world knows about a sample."""

    def augment(self, samples: Sequence[Sample]) -> Sequence[AnswerOrIssue[str]]:
        """Knowledge text about each sample."""


class Tagger(Protocol):
    """Finds the entities of a text."""

    def tag(self, samples: Sequence[Sample]) -> Sequence[AnswerOrIssue[tuple[Entity, ...]]]:
        """The entities of each text, by position; ids are unique within a sample."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """The entities of one sample with their regions; ``reasoning``: what was thought before."""

    entities: tuple[Entity, ...]
    reasoning: str | None = None


class Extractor(Protocol):
    """Finds and grounds entities at once."""

    def extract(self, samples: Sequence[Sample]) -> Sequence[AnswerOrIssue[Extraction]]:
        """The entities of each sample with their regions."""


class Reranker(Protocol):
    """Looks again at types that the tagger was unsure of."""

    def rerank(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[Ranking]]:
        """The label of each mention after a second look."""


class Rewriter(Protocol):
    """Says what an entity looks like."""

    def rewrite(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[Expression]]:
        """A referring expression for each mention."""


class Observer(Protocol):
    """Looks at an image before anybody asks for an entity."""

    def observe(
        self, samples: Sequence[Sample]
    ) -> Sequence[AnswerOrIssue[tuple[Observation, ...]]]:
        """What plain vision finds in each image; ``()`` where it finds nothing."""


class Entailer(Protocol):
    """Decides what an image shows."""

    def entail(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[Entailment]]:
        """Whether each mention is to be seen in its image."""


class Grounder(Protocol):
    """Finds where entities are."""

    def ground(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[tuple[Region, ...]]]:
        """Each mention's regions, best first; only groundable mentions are asked about."""


class Reviewer(Protocol):
    """Looks again at what the stages before were unsure of."""

    def review(self, samples: Sequence[Sample]) -> Sequence[AnswerOrIssue[tuple[Entity, ...]]]:
        """The entities of each sample, all of them, in their order and with their ids."""


class Segmenter(Protocol):
    """Finds which pixels a region is."""

    def segment(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[tuple[Mask, ...]]]:
        """One mask for each region of each mention, in the regions' order."""


Listener: TypeAlias = Callable[[int], None]
"""Hears how many more items are finished; any thread may call it.

Whoever asks a backend may listen, so that a bar moves while a batch is at work. A backend that
takes items one by one tells of each; one that says nothing is heard when its batch is done.
"""

_Result = TypeVar("_Result")


def _ignore(_items: int) -> None:
    return None


_listener: ContextVar[Listener] = ContextVar("listener", default=_ignore)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Hears of the items that are finished in the block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def current_listener() -> Listener:
    """Who listens now, for work that goes on in other threads."""
    return _listener.get()


def finish(items: int = 1) -> None:
    """Tells that more items are finished."""
    _listener.get()(items)


def finishing(results: Iterable[_Result]) -> Iterator[_Result]:
    """The results as they are; each is told of as soon as it is there."""
    for result in results:
        finish()
        yield result
