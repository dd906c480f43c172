"""Entities that a language model names by their words: where they stand, or what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from riveg.llm.answer_marks import with_single_escapes, without_markup
from riveg.llm.borders import without_marks
from riveg.pipeline import Answer
from riveg.protocols import AnswerOrIssue, PartialAnswer
from riveg.text.alignment import TokenAligner, Unaligned, without_overlaps
from riveg.text.spans import span_text
from riveg.types import Issue, Sample, Span

UNALIGNED = "unaligned-entity"
"""Kind of the Issue for words that are no tokens of the sample."""
UNKNOWN_LABEL = "unknown-label"
"""Kind of the Issue for a label that the system does not have."""
OVERLAPPING = "overlapping-entity"
"""Kind of the Issue for an entity that is dropped for a longer one in the same place."""
BAD_ENTITY = "bad-entity"
"""Kind of the Issue, beside good entities, for an item that is none."""
FULL = "many-entities"
"""Kind of the Issue for an answer with the highest number of entities: some may be missing."""


class LabelledSpan(NamedTuple):
    """An entity of an answer and where it is in the text."""

    span: Span
    label: str


class Fault(NamedTuple):
    """What is wrong with one entity of an answer: an Issue's kind, and the reason."""

    kind: str
    message: str


class Named(Protocol):
    """Anything with a place in the text and a label."""

    @property
    def span(self) -> Span: ...

    @property
    def label(self) -> str: ...


Spanned = TypeVar("Spanned", bound=Named)


class SpanFinder:
    """Finds the entities of one answer in the text of its sample.

    Args:
        sample: The sample.
        labels: The system's labels.
    """

    def __init__(self, sample: Sample, labels: Sequence[str]) -> None:
        self._aligner = TokenAligner(sample.text, sample.offsets)
        self._labels = labels

    def find(self, words: str, label: str, occurrence: int = 1) -> LabelledSpan | Fault:
        """Where an entity stands.

        Args:
            words: Its words, copied from the text.
            label: Its label, in any case.
            occurrence: Which of the places with these words is meant, from 1.
        """
        known = self._known_label(label)
        if known is None:
            names = ", ".join(self._labels)
            message = f"{words!r} has the label {label!r}, which is not one of {names}"
            return Fault(UNKNOWN_LABEL, message)
        reasons = []
        for text in _spellings(words):
            try:
                return LabelledSpan(self._aligner.find(text, occurrence), known)
            except Unaligned as reason:
                reasons.append(str(reason))
        return Fault(UNALIGNED, reasons[0])

    def _known_label(self, label: str) -> str | None:
        """The system's label, whatever the case; ``None`` where it has none of that name."""
        if label in self._labels:
            return label
        folded = {known.casefold(): known for known in reversed(self._labels)}
        return folded.get(without_markup(label).casefold())


def without_overlapping(
    sample: Sample, found: Iterable[Spanned]
) -> tuple[tuple[Spanned, ...], list[Fault]]:
    """The entities by position, no two of them overlapping, and a loss for each that is left out.

    An entity that is named twice counts once.
    """
    kept, dropped = without_overlaps(tuple(dict.fromkeys(found)))
    return kept, [Fault(OVERLAPPING, _overlap(sample, one)) for one in dropped]


def full(count: int, most: int, key: str) -> list[Fault]:
    """A loss where an answer has the highest number of entities, which ``key`` says."""
    if count < most:
        return []
    return [Fault(FULL, f"{count} entities, there may be more; raise {key}")]


def with_faults(
    stage: str,
    answer: Answer,
    faults: Sequence[Fault],
    losses: Sequence[Fault] = (),
    *,
    is_empty: bool,
) -> AnswerOrIssue[Answer]:
    """A stage's answer about a sample, with an Issue for each fault and each loss.

    Args:
        stage: The stage's name.
        answer: What is right in the model's answer.
        faults: What is wrong in it.
        losses: What would be missing from another answer as well.
        is_empty: Whether nothing is right: beside faults, that is no answer but one Issue.
    """
    issues = tuple(Issue(stage, None, kind, message) for kind, message in (*faults, *losses))
    if faults and is_empty:
        messages = "; ".join(issue.message for issue in issues)
        return Issue(stage, None, faults[0].kind, messages)
    return PartialAnswer(answer, issues) if issues else answer


def _spellings(text: str) -> dict[str, None]:
    """An entity's words as they are written, then with doubled escapes read, and without markup.

    The words of a post come first: it may itself hold escapes and markup. Words that the prompt
    marked, because they look like one of its borders, are read without the marks as well.
    """
    single = with_single_escapes(text)
    return dict.fromkeys((text, without_marks(text), single, without_markup(single)))


def _overlap(sample: Sample, one: Named) -> str:
    words = span_text(sample.text, sample.offsets, one.span)
    return (
        f"{words!r} [{one.label}], tokens [{one.span.start}, {one.span.end}), "
        "stands within a longer entity, or one given before it"
    )
