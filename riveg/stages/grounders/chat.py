"""Boxes by a vision-language model, read in the frame that the model was trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.geometry.frames import FrameName, Resize
from riveg.llm.conversation import (
    ChatAnswer,
    NoAnswer,
    PreparedRequest,
    PromptValue,
    Unparsable,
)
from riveg.protocols import AnswerOrIssue, Grounder, Mention, PartialAnswer
from riveg.reads import NAMED, Reads, reads
from riveg.stages.chat_backend import (
    PromptedChat,
    PromptVariables,
    entity_value,
    label_constants,
    prompted_chat,
    sample_values,
    source_of,
    whole_response,
)
from riveg.stages.grounders.answers import (
    answer_schema,
    read_boxes,
    read_faultless_boxes,
)
from riveg.stages.stated_boxes import (
    BAD_BOX,
    OUTSIDE_FRAME,
    PARTIAL,
    StatedBoxes,
    WrittenBoxes,
    image_size,
    stated_boxes,
)
from riveg.types import Issue, Region

_VARIABLES = PromptVariables(("order", "labels"), ("text", "caption", "entity", "coordinates"))


class ChatGrounderConfig(BackendConfig[Grounder]):
    """``llm``: the model's name; ``prompt``: a prompt's name or a ``.jinja`` file.

    ``frame``: what the model's numbers mean: ``norm1000`` (Qwen3-VL, GLM), ``pixels-sent``
    (Qwen2.5-VL), ``norm1000-yx`` (Gemini), ``norm999``, ``norm1``; there is no default, because a
    box read in the wrong frame looks right; ``resize``: how the model's processor resizes
    images, for ``pixels-sent``; ``most_regions``: of one mention; ``max_tokens``: of the answer.
    """

    stage: ClassVar[str] = "ground"
    name: ClassVar[str] = "chat"
    summary: ClassVar[str] = "boxes by a vision-language model, in its family's frame"
    extra: ClassVar[str | None] = "chat"
    needs_image: ClassVar[bool] = True
    uses_labels: ClassVar[bool] = True
    whole_parts: ClassVar[bool] = True

    llm: str = "main"
    prompt: str = "ground/boxes.v1"
    frame: FrameName
    resize: Resize = Resize()
    most_regions: int = Field(default=8, ge=1)
    max_tokens: int = Field(default=384, ge=1)

    def reads(self) -> Reads:
        return reads("text caption image", entity=NAMED)

    def build(self, context: BuildContext) -> ChatGrounder:
        """Reads the prompt and finds the model; nothing is asked yet.

        Raises:
            UserError: If there is no such model or prompt, the prompt fits no mention, or the frame
                depends on how the model is reached and that is not known.
        """
        boxes = stated_boxes(self.frame, self.resize, llm=self.llm, stage="ground", context=context)
        constants = {
            "order": PromptValue(boxes.frame.order, "ground.frame"),
            **label_constants(context.labels),
        }
        return ChatGrounder(
            prompted_chat(self, context, _VARIABLES, constants),
            boxes,
            most_regions=self.most_regions,
            max_tokens=self.max_tokens,
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        return _VARIABLES.contents(self.prompt, base)


class ChatGrounder:
    """Asks one question about each mention.

    Args:
        chat: The model with its prompt.
        boxes: How its numbers are read.
        most_regions: Of one mention.
        max_tokens: Of the answer.
    """

    def __init__(
        self,
        chat: PromptedChat,
        boxes: StatedBoxes,
        *,
        most_regions: int = 8,
        max_tokens: int = 384,
    ) -> None:
        self._chat = chat
        self.boxes = boxes
        self._schema = answer_schema(boxes.frame, most_regions)
        self._most_regions = most_regions
        self._max_tokens = max_tokens

    def prepare(self, mentions: Sequence[Mention]) -> Sequence[PreparedRequest]:
        """The requests that :meth:`ground` sends.

        Raises:
            UserError: If the prompt fails on one of them, or nobody has opened its image.
        """
        return [self._prepared(mention) for mention in mentions]

    def ground(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[tuple[Region, ...]]]:
        """The regions of each mention in the model's order, without scores; ``()`` for none."""
        return self._chat.answer(mentions, self._prepared, self._read, self._read_refused)

    def _prepared(self, mention: Mention) -> PreparedRequest:
        sample, entity = mention.sample, mention.entity
        coordinates = self.boxes.coordinates(image_size(sample))
        values = {
            **sample_values(sample),
            "entity": entity_value(entity),
            "coordinates": PromptValue(coordinates, "ground.frame, sample.image"),
        }
        return self._chat.prepare(
            sample,
            (entity,),
            values,
            partial(read_faultless_boxes, frame=self.boxes.frame),
            shows_image=True,
            schema=self._schema,
            max_tokens=self._max_tokens,
        )

    def _read(self, mention: Mention, answer: ChatAnswer) -> AnswerOrIssue[tuple[Region, ...]]:
        return self._regions(mention, answer.value, source_of(answer))

    def _read_refused(
        self, mention: Mention, answer: NoAnswer
    ) -> AnswerOrIssue[tuple[Region, ...]]:
        """The good boxes of a response that has bad ones after the last re-ask."""
        issue = self._chat.issue(mention, answer)
        response = whole_response(answer)
        try:
            reading = None if response is None else read_boxes(response, frame=self.boxes.frame)
        except Unparsable:
            return issue
        if reading is None or not reading.boxes:
            return issue
        found = self._regions(mention, reading.boxes, PARTIAL)
        if isinstance(found, Issue):
            return found
        kept = found if isinstance(found, PartialAnswer) else PartialAnswer(found, ())
        faults = (Issue("ground", issue.entity_id, BAD_BOX, fault) for fault in reading.faults)
        # Where all of its boxes are right, what is wrong is the text around them.
        return PartialAnswer(kept.answer, (*kept.issues, *faults) or (issue,))

    def _regions(
        self, mention: Mention, written: WrittenBoxes, source: str
    ) -> AnswerOrIssue[tuple[Region, ...]]:
        """The boxes within the frame; each of the others is an Issue."""
        regions, faults = self.boxes.regions(
            written[: self._most_regions], image_size(mention.sample), source
        )
        issues = tuple(Issue("ground", mention.entity.id, OUTSIDE_FRAME, fault) for fault in faults)
        if issues and not regions:
            return issues[0]
        return PartialAnswer(regions, issues) if issues else regions
