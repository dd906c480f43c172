"""A second look by a vision-language model, only at what is uncertain, after UnCo (EMNLP 2025).

Words first, then types, then boxes, so that each question is asked about what the one before has
put right. An entity is asked about where its uncertainty reaches the gate of the kind; below it
nothing is sent. The model is told how uncertain the answer was, and may say that it is unsure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator

from riveg.config.backend import BackendConfig, BuildContext
from riveg.geometry.frames import FrameName, Resize
from riveg.llm.conversation import ChatAnswer, NoAnswer, PreparedRequest, PromptValue, Unparsable
from riveg.pipeline import is_image_broken
from riveg.protocols import AnswerOrIssue, Mention, PartialAnswer, Reviewer
from riveg.stages.chat_backend import label_constants, prompted_chat
from riveg.stages.reviewers.looks import VARIABLES, Look, RegionLook, SpanLook, TypeLook
from riveg.stages.reviewers.uncertainty import Measure, uncertainty
from riveg.stages.stated_boxes import stated_boxes
from riveg.types import REVIEW_KINDS, WARNING, Entity, Issue, ReviewKind, Sample

NO_UNCERTAINTY = "no-uncertainty"
"""Kind of the Issue for an entity of which nobody can say how uncertain it is."""

_Gate = Field(default=None, ge=0.0, le=1.0)


class ChatReviewerConfig(BackendConfig[Reviewer]):
    """``llm``: the model's name. Gates in [0, 1], at least one: ``span``, ``type``, ``region``.

    From a gate on, by the uncertainty of that kind, an entity is asked about; a kind without a gate
    is not reviewed. ``uncertainty``: ``confidence`` (1 less the probability), ``entropy`` (of the
    label distribution, for types) or ``dropout`` (of ``tag: crf``, for words and types);
    ``frame`` and ``resize``: as of ``ground: chat``, needed where regions are reviewed;
    ``span_prompt``, ``type_prompt``, ``region_prompt``: a prompt's name or a ``.jinja`` file;
    ``max_tokens``: of an answer.
    """

    stage: ClassVar[str] = "review"
    name: ClassVar[str] = "chat"
    summary: ClassVar[str] = "a second look at uncertain words, types and boxes, after UnCo"
    extra: ClassVar[str | None] = "chat"
    needs_image: ClassVar[bool] = True
    uses_labels: ClassVar[bool] = True
    whole_parts: ClassVar[bool] = True

    llm: str = "main"
    span: float | None = _Gate
    type: float | None = _Gate
    region: float | None = _Gate
    uncertainty: Measure = "confidence"
    frame: FrameName | None = None
    resize: Resize = Resize()
    span_prompt: str = "review/span.v1"
    type_prompt: str = "review/type.v1"
    region_prompt: str = "review/region.v1"
    max_tokens: int = Field(default=256, ge=1)

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if not self.gates:
            raise ValueError(f"nothing is reviewed; give a gate: {', '.join(REVIEW_KINDS)}")
        if self.region is not None and self.frame is None:
            raise ValueError("region is reviewed, so say the frame that the model states boxes in")
        return self

    @property
    def gates(self) -> dict[ReviewKind, float]:
        """The gates of the kinds that are reviewed, in the order in which they are."""
        found = {kind: getattr(self, kind) for kind in REVIEW_KINDS}
        return {kind: gate for kind, gate in found.items() if gate is not None}

    @property
    def prompt_fields(self) -> dict[str, str]:
        """For each kind that is reviewed, the field that names its prompt."""
        return {kind: f"{kind}_prompt" for kind in self.gates}

    def alone(self, kind: str) -> Self:
        """The same for one kind alone."""
        return self.model_copy(update={other: None for other in self.gates if other != kind})

    def build(self, context: BuildContext) -> ChatReviewer:
        """Reads the prompts and finds the model; nothing is asked yet.

        Raises:
            UserError: If there is no such model or prompt, a prompt fits no mention, or the frame
                depends on how the model is reached and that is not known.
        """
        looks = tuple(self._look(kind, context) for kind in self.gates)
        return ChatReviewer(looks, gates=self.gates, measure=self.uncertainty)

    def _look(self, kind: ReviewKind, context: BuildContext) -> Look:
        constants = label_constants(context.labels)
        asked = _Prompt(self.llm, getattr(self, self.prompt_fields[kind]))
        if kind != "region" or self.frame is None:
            chat = prompted_chat(asked, context, VARIABLES[kind], constants)
            if kind == "span":
                return SpanLook(chat, self.max_tokens)
            labels = {label.name: label.fine for label in context.labels}
            return TypeLook(chat, labels, self.max_tokens)
        boxes = stated_boxes(
            self.frame, self.resize, llm=self.llm, stage=self.stage, context=context
        )
        constants["order"] = PromptValue(boxes.frame.order, "review.frame")
        chat = prompted_chat(asked, context, VARIABLES[kind], constants)
        return RegionLook(chat, boxes, self.max_tokens)

    def clash(self, others: Mapping[str, BackendConfig[object]]) -> tuple[str, str] | None:
        """A gate without what it goes by."""
        if self.region is not None and not {"ground", "extract"} & {*others}:
            return "region", "add the stage ground, whose regions are reviewed"
        passes = getattr(others.get("tag"), "dropout_passes", 0)
        if self.uncertainty == "dropout" and not passes:
            return "uncertainty", "let tag: crf measure it, with dropout_passes: 10"
        return None

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the prompts of the kinds that are reviewed.

        Raises:
            UserError: If a prompt does not fit: found before the run.
        """
        return {
            name: VARIABLES[kind].read(getattr(self, name), base).fingerprint
            for kind, name in ((kind, f"{kind}_prompt") for kind in self.gates)
        }


@dataclass(frozen=True, slots=True)
class _Prompt:
    """What is read of a configuration with one prompt."""

    llm: str
    prompt: str
    stage: ClassVar[str] = "review"


@dataclass(slots=True)
class _Reviewed:
    """A sample as it is by now, and what is missing in it."""

    sample: Sample
    issues: list[Issue] = field(default_factory=list)

    @classmethod
    def of(cls, sample: Sample) -> _Reviewed:
        entities = tuple(replace(one, reviews=()) for one in sample.entities or ())
        return cls(replace(sample, entities=entities))

    def mention(self, entity_id: str) -> Mention:
        entities = self.sample.entities or ()
        return Mention(self.sample, next(one for one in entities if one.id == entity_id))

    def put(self, new: Entity) -> None:
        entities = tuple(new if one.id == new.id else one for one in self.sample.entities or ())
        self.sample = replace(self.sample, entities=entities)

    def answer(self) -> AnswerOrIssue[tuple[Entity, ...]]:
        entities = self.sample.entities or ()
        return PartialAnswer(entities, tuple(self.issues)) if self.issues else entities


@dataclass(frozen=True, slots=True)
class _Question:
    """An entity that is asked about, and how uncertain it is."""

    about: _Reviewed
    entity_id: str
    uncertainty: float

    @property
    def mention(self) -> Mention:
        return self.about.mention(self.entity_id)


class ChatReviewer:
    """Asks about what is uncertain, one kind after the other.

    Args:
        looks: The kinds, in the order in which they are asked, each with its model and prompt.
        gates: The uncertainty from which on each kind is asked, in [0, 1].
        measure: How uncertainty is measured.
    """

    def __init__(
        self, looks: Sequence[Look], *, gates: Mapping[ReviewKind, float], measure: Measure
    ) -> None:
        self._looks = looks
        self._gates = gates
        self._measure: Measure = measure

    def prepare(self, samples: Sequence[Sample]) -> Sequence[PreparedRequest]:
        """The requests that :meth:`review` sends where no answer changes anything.

        A changed name is asked about under its new words.

        Raises:
            UserError: If a prompt fails on one of them.
        """
        reviewed = [_Reviewed.of(sample) for sample in samples]
        return [
            look.prepare(question.mention, question.uncertainty)
            for look in self._looks
            for question in self._questions(look.kind, reviewed)
        ]

    def review(self, samples: Sequence[Sample]) -> Sequence[AnswerOrIssue[tuple[Entity, ...]]]:
        """The entities of each sample; what was changed is told in their ``reviews``.

        A question without an answer is an Issue, and leaves the entity as it is.
        """
        reviewed = [_Reviewed.of(sample) for sample in samples]
        for look in self._looks:
            questions = list(self._questions(look.kind, reviewed))
            for question, answer in zip(questions, _answers(look, questions), strict=True):
                _take(look, question, answer)
        return [one.answer() for one in reviewed]

    def _questions(self, kind: ReviewKind, reviewed: Sequence[_Reviewed]) -> Iterator[_Question]:
        for one in reviewed:
            if kind == "region" and not _has_image(one):
                continue
            for entity in one.sample.entities or ():
                value = uncertainty(entity, kind, self._measure)
                if value is None:
                    message = f"{kind}: {_LACKS[kind]}, so nobody knows how uncertain it is"
                    one.issues.append(Issue("review", entity.id, NO_UNCERTAINTY, message))
                elif value >= self._gates[kind]:
                    yield _Question(one, entity.id, value)


_LACKS: Mapping[ReviewKind, str] = {
    "span": "the tagger gave no score",
    "type": "the tagger gave no score and no label distribution",
    "region": "there is no score of a region, and no probability that the picture shows it",
}


def _has_image(one: _Reviewed) -> bool:
    sample = one.sample
    if sample.image is None and sample.entities:
        message = "the post has no picture: no region was reviewed"
        one.issues.append(Issue("review", None, WARNING, message))
    return sample.image is not None and not is_image_broken(sample)


def _answers(look: Look, questions: Sequence[_Question]) -> Sequence[ChatAnswer | NoAnswer]:
    return look.chat.ask(questions, lambda one: look.prepare(one.mention, one.uncertainty))


def _take(look: Look, question: _Question, answer: ChatAnswer | NoAnswer) -> None:
    """Puts an answer into the sample, or says why it is not there."""
    mention = question.mention
    if isinstance(answer, ChatAnswer):
        try:
            taken = look.applied(mention, question.uncertainty, answer)
        except Unparsable as fault:
            taken = Issue("review", mention.entity.id, fault.kind, str(fault))
    else:
        taken = look.chat.issue(mention, answer)
    if isinstance(taken, Issue):
        question.about.issues.append(taken)
    else:
        question.about.put(taken)
