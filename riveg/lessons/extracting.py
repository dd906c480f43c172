"""``extract: chat``: a post becomes one request, its entities the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from riveg.config.backend import BuildContext
from riveg.errors import UserError
from riveg.geometry.frames import Resize
from riveg.geometry.jitter import Jitter
from riveg.lessons.answer_boxes import AnswerBoxes
from riveg.lessons.questions import Question, Unusable, objects_of, places_of, require_label
from riveg.llm.conversation import Response, Unparsable
from riveg.llm.json_answers import thoughts_in, without_thoughts
from riveg.stages.extractors.answers import StatedEntity
from riveg.stages.extractors.chat import ChatExtractor, ChatExtractorConfig
from riveg.stages.named_spans import UNALIGNED
from riveg.stages.stated_boxes import WrittenBoxes
from riveg.text.alignment import TokenAligner, Unaligned
from riveg.text.spans import span_text
from riveg.types import Gold, GoldEntity, Sample, Span

UNREADABLE = "unreadable-answer"
"""Kind of the Issue for an answer that the stage would read as another."""

_NOWHERE = (0, 0)
"""Nobody asks where a gold entity stands in an answer."""


@dataclass(frozen=True, slots=True)
class Extracting:
    """``extract: chat``: a post becomes one request, its entities the answer.

    Args:
        backend: The stage's.
        boxes: How boxes are stated.
        labels: Names of the types.
        asked_as: What the model calls each of them.
        thoughts: What stands before the answers, by post.
    """

    backend: ChatExtractor
    boxes: AnswerBoxes
    labels: tuple[str, ...]
    asked_as: Callable[[str], str]
    thoughts: Mapping[str, str]
    needs_image: bool = True

    @classmethod
    def of(
        cls,
        config: ChatExtractorConfig,
        context: BuildContext,
        resize: Resize,
        jitter: Jitter | None,
        thoughts: Mapping[str, str],
    ) -> Extracting:
        """From what a system says of the stage; the rest as in :func:`make_lesson`.

        Raises:
            UserError: If the stage cannot be built, or its answers hold no thought.
        """
        backend = config.build(context)
        if thoughts and not backend.form.takes_thoughts:
            raise UserError(
                f"reasoning: answers of the prompt {config.prompt} hold no thought; leave "
                "reasoning out, or take extract/e2e-gmner.v1"
            )
        labels = tuple(label.name for label in context.labels)
        boxes = AnswerBoxes(backend.boxes, resize, jitter)
        return cls(backend, boxes, labels, config.asked_as, thoughts)

    def questions(self, sample: Sample, gold: Gold) -> Iterator[Question | Unusable]:
        entities = sorted(gold.entities, key=lambda one: (one.span.start, one.span.end))
        stated = [self._stated(sample, entity) for entity in entities]
        places = places_of(sample, entities)
        objects = objects_of(self.boxes, places, entities, [one.words for one in stated])
        ends = [0, *accumulate(len(entity.boxes or ()) for entity in entities)]
        thoughts = self.thoughts.get(sample.id, "")

        def write(boxes: WrittenBoxes) -> str:
            placed = [
                replace(one, boxes=boxes[start:end])
                for one, (start, end) in zip(stated, pairwise(ends), strict=True)
            ]
            return self.backend.form.write(placed, thoughts)

        self._require_readable(write(self.boxes.written(places, None)), stated, thoughts)
        if (issue := self.backend.refusal(sample)) is not None:
            raise Unusable(issue.kind, issue.message)
        (prepared,) = self.backend.prepare([sample])
        yield Question(
            prepared.request,
            lambda visit: write(self.boxes.written(places, visit)),
            objects=objects,
        )

    def asked(self, sample: Sample, gold: Gold) -> Sample:  # noqa: ARG002
        return sample

    def remarks(self) -> Sequence[str]:
        return ()

    def _stated(self, sample: Sample, entity: GoldEntity) -> StatedEntity:
        require_label(sample, entity, self.labels)
        words = span_text(sample.text, sample.offsets, entity.span)
        label = self.asked_as(entity.label)
        return StatedEntity(words, label, _occurrence(sample, words, entity.span), (), _NOWHERE)

    def _require_readable(self, text: str, stated: Sequence[StatedEntity], thoughts: str) -> None:
        """Makes sure that what is learnt would be read as what was annotated."""
        frame = self.boxes.stated.frame
        try:
            read = self.backend.form.read(Response(without_thoughts(text), "stop"), frame)
        except Unparsable as error:
            raise Unusable(UNREADABLE, str(error)) from error
        found = [(one.words, one.label, one.boxes is not None) for one in read.entities]
        if read.faults or found != [(one.words, one.label, True) for one in stated]:
            raise Unusable(
                UNREADABLE,
                "a name holds a sign that the form of the answer needs for itself, so that it "
                "would be read otherwise",
            )
        if thoughts_in(text) != thoughts:
            raise Unusable(UNREADABLE, "the reasoning holds the end of a thought")


def _occurrence(sample: Sample, words: str, span: Span) -> int:
    """Which of the places with these words a span is, from 1."""
    aligner = TokenAligner(sample.text, sample.offsets)
    with suppress(Unaligned):
        for number in range(1, len(sample.tokens) + 1):
            if aligner.find(words, number) == span:
                return number
    raise Unusable(UNALIGNED, f"{words!r:.80} is not found again in the text")
