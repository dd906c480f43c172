"""Entities, types and boxes in one answer of a vision-language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import UserError, suggest
from riveg.geometry.frames import FrameName, Resize
from riveg.labels import Label
from riveg.llm.conversation import (
    ChatAnswer,
    NoAnswer,
    PreparedRequest,
    PromptValue,
    Response,
    Unparsable,
)
from riveg.llm.token_scores import part_score
from riveg.protocols import AnswerOrIssue, Extraction, Extractor
from riveg.reads import Reads, reads
from riveg.stages.chat_backend import (
    PromptedChat,
    PromptVariables,
    answer_form,
    label_constants,
    prompted_chat,
    sample_values,
    source_of,
    whole_response,
)
from riveg.stages.extractors.answers import FORMS, AnswerForm, StatedEntity
from riveg.stages.named_spans import (
    BAD_ENTITY,
    Fault,
    LabelledSpan,
    SpanFinder,
    full,
    with_faults,
    without_overlapping,
)
from riveg.stages.stated_boxes import OUTSIDE_FRAME, PARTIAL, StatedBoxes, image_size, stated_boxes
from riveg.text.spans import span_text
from riveg.types import Entity, ImageSize, Issue, Region, Sample, Span

IMAGE_SHAPE = "image-shape"
"""Kind of the Issue for an image that the processors of vision-language models refuse."""

_SMALLEST_SIDE = 28
_LARGEST_ASPECT = 200
"""Qwen-VL's processors refuse what is smaller or longer."""

_VARIABLES = PromptVariables(("order", "labels"), ("text", "caption", "knowledge", "coordinates"))


class ChatExtractorConfig(BackendConfig[Extractor]):
    """``llm``: the model's name; ``prompt``: a prompt's name or a ``.jinja`` file.

    The prompt's block ``answer`` names the form of the answer: ``json``, for any model,
    ``triples``, E2E-GMNER's, or ``entity-lists``, SAKE's. ``frame`` and ``resize`` are those of
    ``ground: chat``. ``list_types``: whether the prompt is given the system's types; without, as in
    E2E-GMNER's released program, a model can only answer with those that it has learnt.
    ``label_map``: the model's names of types that the system calls otherwise, such as ``{MISC:
    OTHER}``. ``most_entities``: of one sample; ``most_regions``: of one entity; ``max_tokens``: of
    the answer with its reasoning; one that is cut off there is an Issue, never half a list.
    """

    stage: ClassVar[str] = "extract"
    name: ClassVar[str] = "chat"
    summary: ClassVar[str] = "entities and boxes in one answer of a vision-language model"
    extra: ClassVar[str | None] = "chat"
    needs_image: ClassVar[bool] = True
    uses_labels: ClassVar[bool] = True
    whole_parts: ClassVar[bool] = True

    llm: str = "main"
    prompt: str = "extract/json.v1"
    frame: FrameName
    resize: Resize = Resize()
    list_types: bool = True
    label_map: Mapping[str, str] = Field(default_factory=dict)
    most_entities: int = Field(default=40, ge=1)
    most_regions: int = Field(default=8, ge=1)
    max_tokens: int = Field(default=2048, ge=1)

    def reads(self) -> Reads:
        return reads("text caption knowledge image")

    def build(self, context: BuildContext) -> ChatExtractor:
        """Reads the prompt and finds the model; nothing is asked yet.

        Raises:
            UserError: If there is no such model or prompt, the prompt fits no sample or names no
                form of answer, or one that needs the types and has none, or the frame depends on
                how the model is reached and that is not known.
        """
        boxes = stated_boxes(
            self.frame, self.resize, llm=self.llm, stage="extract", context=context
        )
        constants = {
            "order": PromptValue(boxes.frame.order, "extract.frame"),
            **label_constants(map(self._as_asked, context.labels if self.list_types else ())),
        }
        self._require_map([label.name for label in context.labels])
        chat = prompted_chat(self, context, _VARIABLES, constants)
        form = answer_form(chat.prompt, FORMS)
        if form.needs_types and not self.list_types:
            raise UserError(
                f"extract.list_types: {self.prompt} is for models that have to be told the types; "
                "false goes with a prompt whose model has learnt them, such as extract/e2e-gmner.v1"
            )
        return ChatExtractor(
            chat,
            form,
            boxes,
            Bounds(self.most_entities, self.most_regions, self.max_tokens),
            labels=tuple(self.asked_as(label.name) for label in context.labels),
            label_map=self.label_map,
        )

    def asked_as(self, label: str) -> str:
        """What the model calls one of the system's types."""
        return next((name for name, own in self.label_map.items() if own == label), label)

    def _as_asked(self, label: Label) -> Label:
        return label.model_copy(update={"name": self.asked_as(label.name)})

    def _require_map(self, labels: Sequence[str]) -> None:
        for name, own in self.label_map.items():
            if own not in labels:
                raise UserError(
                    f"extract.label_map: {own} is no type of the system; {suggest(own, labels)}"
                )
            if name in labels or [*self.label_map.values()].count(own) > 1:
                raise UserError(
                    f"extract.label_map: {name}: {own}: each type has one name for the model, and "
                    "no other type has it"
                )

    def contents(self, base: Path) -> Mapping[str, str]:
        return _VARIABLES.contents(self.prompt, base)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most entities of a sample, regions of an entity and tokens of an answer."""

    entities: int = 40
    regions: int = 8
    tokens: int = 2048


@dataclass(frozen=True, slots=True)
class _Located:
    """A stated entity that stands in the text."""

    span: Span
    label: str
    stated: StatedEntity


class ChatExtractor:
    """Asks one question about each sample.

    A response with faults is answered with them; of the last one the entities without fault are
    kept, and each fault is an Issue beside them.

    Args:
        chat: The model with its prompt.
        form: The form of its answer.
        boxes: How its numbers are read.
        bounds: How much of an answer is read.
        labels: The system's labels, as the model calls them.
        label_map: Those of them that the system calls otherwise, with its names.
    """

    def __init__(
        self,
        chat: PromptedChat,
        form: AnswerForm,
        boxes: StatedBoxes,
        bounds: Bounds,
        *,
        labels: Sequence[str],
        label_map: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._chat = chat
        self.form = form
        self.boxes = boxes
        self._bounds = bounds
        self._labels = tuple(labels)
        self._label_map = label_map
        self._schema = form.schema(
            self._labels, boxes.frame, entities=bounds.entities, regions=bounds.regions
        )

    def prepare(self, samples: Sequence[Sample]) -> Sequence[PreparedRequest]:
        """The requests that :meth:`extract` sends; none about samples that it refuses.

        Raises:
            UserError: If the prompt fails on one of them, or nobody has opened its image.
        """
        return [self._prepared(sample) for sample in samples if self.refusal(sample) is None]

    def extract(self, samples: Sequence[Sample]) -> Sequence[AnswerOrIssue[Extraction]]:
        """The entities of each sample with their regions, scored where the server gives tokens."""
        refused = [*map(self.refusal, samples)]
        asked = [sample for sample, no in zip(samples, refused, strict=True) if no is None]
        answers = iter(self._chat.answer(asked, self._prepared, self._read, self._read_refused))
        return [next(answers) if no is None else no for no in refused]

    def refusal(self, sample: Sample) -> Issue | None:
        """Why a model cannot be asked about the sample's image, if so."""
        size = image_size(sample)
        return shape_issue(size, self.boxes.sent(size))

    def _prepared(self, sample: Sample) -> PreparedRequest:
        coordinates = self.boxes.coordinates(image_size(sample))
        return self._chat.prepare(
            sample,
            (),
            {
                **sample_values(sample),
                "knowledge": PromptValue(sample.knowledge or "", "sample.knowledge"),
                "coordinates": PromptValue(coordinates, "extract.frame, sample.image"),
            },
            partial(self._faultless, sample=sample),
            shows_image=True,
            schema=self._schema,
            max_tokens=self._bounds.tokens,
            in_full=True,
        )

    def _faultless(self, response: Response, *, sample: Sample) -> Extraction:
        """A response without faults.

        Raises:
            Unparsable: If it is none, or names the faults of some of its entities.
        """
        extraction, faults, _ = self._extraction(sample, response, "")
        if faults:
            told = "; ".join(message for _, message in faults)
            raise Unparsable(f"Not every entity is right: {told}. Give the whole answer again.")
        return extraction

    def _read(self, sample: Sample, answer: ChatAnswer) -> AnswerOrIssue[Extraction]:
        # Two samples of the same words share one request, and their tokens may differ: so the
        # response is read for each sample, instead of taking the value read for the first.
        return _answer(*self._extraction(sample, answer.response, source_of(answer)))

    def _read_refused(self, sample: Sample, answer: NoAnswer) -> AnswerOrIssue[Extraction]:
        """What can be kept of a response whose faults are left after the last re-ask."""
        issue = self._chat.issue(sample, answer)
        response = whole_response(answer)
        if response is None:
            return issue
        try:
            extraction, faults, losses = self._extraction(sample, response, PARTIAL)
        except Unparsable:
            return issue
        is_list = extraction.entities or (faults and all(one.kind != BAD_ENTITY for one in faults))
        return _answer(extraction, faults, losses) if is_list else issue

    def _extraction(
        self, sample: Sample, response: Response, source: str
    ) -> tuple[Extraction, tuple[Fault, ...], tuple[Fault, ...]]:
        """What a response says, what the model can mend in it, and what is lost all the same."""
        statement = self.form.read(response, self.boxes.frame)
        finder = SpanFinder(sample, self._labels)
        faults = list(statement.faults)
        located: list[_Located] = []
        for stated in statement.entities[: self._bounds.entities]:
            found = finder.find(stated.words, stated.label, stated.occurrence)
            if isinstance(found, LabelledSpan):
                label = self._label_map.get(found.label, found.label)
                located.append(_Located(found.span, label, stated))
            else:
                faults.append(found)
        kept, losses = without_overlapping(sample, located)
        losses += full(len(statement.entities), self._bounds.entities, "extract.most_entities")
        entities = []
        for number, one in enumerate(kept):
            regions, wrong = self._regions(sample, one.stated, source)
            faults += wrong
            entities.append(
                Entity(
                    f"e{number}",
                    span_text(sample.text, sample.offsets, one.span),
                    one.label,
                    one.span,
                    score=part_score(response, *one.stated.part),
                    regions=regions,
                )
            )
        extraction = Extraction(tuple(entities), response.thoughts or None)
        return extraction, tuple(faults), tuple(losses)

    def _regions(
        self, sample: Sample, stated: StatedEntity, source: str
    ) -> tuple[tuple[Region, ...] | None, list[Fault]]:
        """The regions of an entity; ``None`` where it states boxes and none can be read."""
        faults = list(stated.faults)
        if stated.boxes is None:
            return None, faults
        written = stated.boxes[: self._bounds.regions]
        regions, outside = self.boxes.regions(written, image_size(sample), source)
        faults += [Fault(OUTSIDE_FRAME, text) for text in outside]
        return regions if regions or not written else None, faults


def _answer(
    extraction: Extraction, faults: Sequence[Fault], losses: Sequence[Fault]
) -> AnswerOrIssue[Extraction]:
    return with_faults("extract", extraction, faults, losses, is_empty=not extraction.entities)


def shape_issue(size: ImageSize, sent: ImageSize | None = None) -> Issue | None:
    """Why the processors of vision-language models refuse an image of this size, if they do.

    Args:
        size: Of the image.
        sent: As it is sent, where that is another: its sides are rounded, so that it may be longer.
    """
    sizes = dict.fromkeys((size, sent or size))
    fits = all(max(one) <= _LARGEST_ASPECT * min(one) for one in sizes)
    if min(size) >= _SMALLEST_SIDE and fits:
        return None
    shown = ", sent as ".join(f"{one.width} x {one.height}" for one in sizes)
    return Issue(
        "extract",
        None,
        IMAGE_SHAPE,
        f"the picture has {shown} pixels; a vision-language model needs "
        f"{_SMALLEST_SIDE} a side, and one side at most {_LARGEST_ASPECT} times the other",
    )
