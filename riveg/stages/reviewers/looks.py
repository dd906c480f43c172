"""The three kinds of a second look: what is asked about an entity, and what the answer changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from riveg.geometry.boxes import box_iou
from riveg.labels import Levels
from riveg.llm.conversation import ChatAnswer, PreparedRequest, PromptValue
from riveg.protocols import Mention
from riveg.stages.chat_backend import (
    PromptedChat,
    PromptVariables,
    entity_value,
    sample_values,
    source_of,
)
from riveg.stages.rerankers.chat import marked_text
from riveg.stages.reviewers.answers import (
    read_region,
    read_span,
    read_type,
    region_schema,
    span_schema,
    type_schema,
)
from riveg.stages.stated_boxes import OUTSIDE_FRAME, StatedBoxes, image_size
from riveg.text.spans import span_text
from riveg.types import Before, Box, Entity, ImageSize, Issue, Region, Review, ReviewKind

SAME_BOX = 0.9
"""Least overlap at which a box that is stated again is the same: its numbers are rounded."""

WHOLE_IMAGE = 0.98
"""Share of the image from which on a box points at nothing in it (UnCo's rule)."""

_SHARED = ("text", "caption", "marked_text", "entity", "uncertainty")

VARIABLES: Mapping[ReviewKind, PromptVariables] = {
    "span": PromptVariables(("labels",), _SHARED),
    "type": PromptVariables(("labels",), (*_SHARED, "candidates")),
    "region": PromptVariables(("labels", "order"), (*_SHARED, "box", "coordinates")),
}
"""The values that each kind's prompt may use."""


class Look(Protocol):
    """One kind of a second look."""

    @property
    def kind(self) -> ReviewKind: ...

    @property
    def chat(self) -> PromptedChat:
        """The model with the prompt of this kind."""

    def prepare(self, mention: Mention, uncertainty: float) -> PreparedRequest:
        """The request about an entity."""

    def applied(self, mention: Mention, uncertainty: float, answer: ChatAnswer) -> Entity | Issue:
        """The entity after the answer, or why it stays as it is.

        Raises:
            Unparsable: If the answer does not fit this sample.
        """


class SpanLook:
    """Asks for the whole name."""

    kind: ReviewKind = "span"

    def __init__(self, chat: PromptedChat, max_tokens: int) -> None:
        self.chat, self._max_tokens = chat, max_tokens

    def prepare(self, mention: Mention, uncertainty: float) -> PreparedRequest:
        sample, entity = mention.sample, mention.entity
        return self.chat.prepare(
            sample,
            (entity,),
            _values(mention, uncertainty),
            partial(read_span, sample=sample, entity=entity),
            shows_image=True,
            schema=span_schema(),
            max_tokens=self._max_tokens,
        )

    def applied(self, mention: Mention, uncertainty: float, answer: ChatAnswer) -> Entity | Issue:
        sample, entity = mention.sample, mention.entity
        # Another sample may have the same words in other tokens, or other names by now.
        span = read_span(answer.response, sample=sample, entity=entity)
        if span is None or span == entity.span:
            return _kept(entity, self.kind, uncertainty, is_unsure=span is None)
        text = span_text(sample.text, sample.offsets, span)
        before = Before(text=entity.text, span=entity.span)
        return _changed(entity, self.kind, uncertainty, before, text=text, span=span)


class TypeLook:
    """Asks for the type: the fine one of labels that have fine ones."""

    kind: ReviewKind = "type"

    def __init__(self, chat: PromptedChat, labels: Levels, max_tokens: int) -> None:
        self.chat, self._max_tokens = chat, max_tokens
        self._labels: Mapping[str, tuple[str, str | None]] = {
            name: (label, name if below else None)
            for label, below in labels.items()
            for name in below or (label,)
        }
        """By the name that is asked for: the label, and the fine one where it has some."""
        self._candidates = tuple(self._labels)

    def prepare(self, mention: Mention, uncertainty: float) -> PreparedRequest:
        own = {"candidates": PromptValue(self._candidates, "labels")}
        return self.chat.prepare(
            mention.sample,
            (mention.entity,),
            _values(mention, uncertainty, own),
            partial(read_type, candidates=self._candidates),
            shows_image=True,
            schema=type_schema(self._candidates),
            max_tokens=self._max_tokens,
        )

    def applied(self, mention: Mention, uncertainty: float, answer: ChatAnswer) -> Entity | Issue:
        entity, named = mention.entity, answer.value
        if named is None:
            return _kept(entity, self.kind, uncertainty, is_unsure=True)
        label, fine = self._labels[named]
        if (label, fine) == (entity.label, entity.fine_label):
            return _kept(entity, self.kind, uncertainty, is_unsure=False)
        before = Before(label=entity.label, fine_label=entity.fine_label)
        # A fine label of another label does not stay.
        return _changed(entity, self.kind, uncertainty, before, label=label, fine_label=fine)


class RegionLook:
    """Asks for the box, in the model's own frame."""

    kind: ReviewKind = "region"

    def __init__(self, chat: PromptedChat, boxes: StatedBoxes, max_tokens: int) -> None:
        self.chat, self._boxes, self._max_tokens = chat, boxes, max_tokens

    def prepare(self, mention: Mention, uncertainty: float) -> PreparedRequest:
        size = image_size(mention.sample)
        own = {
            "box": PromptValue(self._stated(mention.entity, size), "entity.regions"),
            "coordinates": PromptValue(self._boxes.coordinates(size), "review.frame, sample.image"),
        }
        return self.chat.prepare(
            mention.sample,
            (mention.entity,),
            _values(mention, uncertainty, own),
            partial(read_region, frame=self._boxes.frame),
            shows_image=True,
            schema=region_schema(self._boxes.frame),
            max_tokens=self._max_tokens,
        )

    def applied(self, mention: Mention, uncertainty: float, answer: ChatAnswer) -> Entity | Issue:
        entity, size = mention.entity, image_size(mention.sample)
        if answer.value is None:
            return _kept(entity, self.kind, uncertainty, is_unsure=True)
        source = f"review:{source_of(answer)}"
        regions, faults = self._boxes.regions(answer.value, size, source)
        if faults:
            return Issue("review", entity.id, OUTSIDE_FRAME, faults[0])
        regions = tuple(one for one in regions if not _is_whole(one.box, size))
        if _are_same(regions, entity.regions or ()):
            return _kept(entity, self.kind, uncertainty, is_unsure=False)
        before = Before(regions=entity.regions)
        return _changed(entity, self.kind, uncertainty, before, regions=regions)

    def _stated(self, entity: Entity, size: ImageSize) -> str:
        """The best region as the model would state it; empty where there is none."""
        if not entity.regions:
            return ""
        box, extent = entity.regions[0].box, self._boxes.extent(size)
        numbers = self._boxes.frame.numbers(box, extent, size)
        return f"[{', '.join(f'{number:g}' for number in numbers)}]"


def _is_whole(box: Box, size: ImageSize) -> bool:
    return box.area >= WHOLE_IMAGE * size.width * size.height


def _are_same(found: tuple[Region, ...], before: tuple[Region, ...]) -> bool:
    if not found or not before:
        return not found and not before
    return box_iou(found[0].box, before[0].box) >= SAME_BOX


def _values(
    mention: Mention, uncertainty: float, own: Mapping[str, PromptValue] | None = None
) -> dict[str, PromptValue]:
    """The values that all kinds share, and those of one kind."""
    sample, entity = mention.sample, mention.entity
    return {
        **sample_values(sample),
        "marked_text": PromptValue(marked_text(sample, entity), "sample.tokens, entity.span"),
        "entity": entity_value(entity),
        "uncertainty": PromptValue(f"{uncertainty:.2f}", "review.uncertainty"),
        **(own or {}),
    }


def _kept(entity: Entity, kind: ReviewKind, uncertainty: float, *, is_unsure: bool) -> Entity:
    review = Review(kind, uncertainty, "unsure" if is_unsure else "confirmed")
    return replace(entity, reviews=(*(entity.reviews or ()), review))


def _changed(
    entity: Entity, kind: ReviewKind, uncertainty: float, before: Before, **changes: Any
) -> Entity:
    review = Review(kind, uncertainty, "changed", before)
    return replace(entity, **changes, reviews=(*(entity.reviews or ()), review))
