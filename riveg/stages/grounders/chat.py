"""Boxes by a vision-language model, read in the frame that its family was taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import UserError
from riveg.geometry.frames import FRAMES, Frame, FrameName, InsideOut, OutsideFrame, Resize
from riveg.labels import Label
from riveg.llm.conversation import (
    Chat,
    ChatAnswer,
    NoAnswer,
    PreparedRequest,
    PromptValue,
    Request,
    Response,
    Unparsable,
)
from riveg.llm.images import sent_size
from riveg.llm.json_answers import parse_json
from riveg.llm.prompts import Prompt
from riveg.protocols import Grounder, Mention
from riveg.stages.chat_backend import (
    ask_about,
    entity_value,
    image_of,
    issue_of,
    label_values,
    messages_of,
    read_prompt,
    require_chat,
    sample_values,
    source_of,
)
from riveg.types import ImageSize, Issue, Region, Sample

OUTSIDE_FRAME = "box-outside-frame"
"""Kind of the Issue for a box that the declared frame does not reach."""

_CONSTANTS = ("order", "labels")
_VALUES = ("text", "caption", "entity", "coordinates")

Stated = tuple[tuple[float, ...], ...]
"""The boxes of an answer, four numbers each, in the model's own frame and order."""


_SAID = {
    "type": "object",
    "properties": {
        "boxes": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "bbox_2d": {
                        "type": "array",
                        "items": {"type": "number"},
                        "minItems": 4,
                        "maxItems": 4,
                    }
                },
                "required": ["bbox_2d"],
            },
        }
    },
    "required": ["boxes"],
}
"""What is read from any answer; what the server is asked for is narrower."""


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

    def build(self, context: BuildContext) -> ChatGrounder:
        """Reads the prompt and finds the model; nothing is asked yet.

        Raises:
            UserError: If there is no such model or prompt, the prompt fits no mention, or the frame
                depends on how the model is reached and that is not known.
        """
        return ChatGrounder(
            require_chat(context, self.stage, self.llm),
            read_prompt(self.prompt, context.base, constants=_CONSTANTS, values=_VALUES),
            frame=FRAMES[self.frame],
            labels=context.labels,
            resize=self.resize,
            picture_side=self._picture_side(context),
            most_regions=self.most_regions,
            max_tokens=self.max_tokens,
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digest of the prompt.

        Raises:
            UserError: As in building: found before the run.
        """
        prompt = read_prompt(self.prompt, base, constants=_CONSTANTS, values=_VALUES)
        return {"prompt": prompt.fingerprint}

    def _picture_side(self, context: BuildContext) -> int | None:
        endpoint = context.endpoints.get(self.llm)
        if endpoint is None and FRAMES[self.frame].is_sized:
            raise UserError(
                f"ground.frame: {self.frame} depends on picture_side of llm {self.llm!r}, which "
                "is not known; use norm1000, if the model knows it"
            )
        return None if endpoint is None else endpoint.picture_side


class ChatGrounder:
    """Asks one question about each mention.

    Args:
        chat: The model.
        prompt: With a block ``user``, and ``system`` where it has one.
        frame: What the model's numbers mean.
        labels: The types that the prompt tells of.
        resize: How its processor resizes images.
        picture_side: The longer side of images as sent, in pixels; ``None``: as they are.
        most_regions: Of one mention.
        max_tokens: Of the answer.
    """

    def __init__(
        self,
        chat: Chat,
        prompt: Prompt,
        *,
        frame: Frame,
        labels: Sequence[Label] = (),
        resize: Resize,
        picture_side: int | None = None,
        most_regions: int = 8,
        max_tokens: int = 384,
    ) -> None:
        self._chat = chat
        self._prompt = prompt
        self._frame = frame
        self._resize = resize
        self._picture_side = picture_side
        self._schema = answer_schema(frame, most_regions)
        self._most = most_regions
        self._constants = {
            "order": PromptValue(frame.order, "ground.frame"),
            "labels": PromptValue(label_values(labels), "labels"),
        }
        self._max_tokens = max_tokens

    def prepare(self, mentions: Sequence[Mention]) -> Sequence[PreparedRequest]:
        """The questions that :meth:`ground` would ask.

        Raises:
            UserError: If the prompt fails on one of them, or nobody has opened its image.
        """
        return [self._prepared(mention) for mention in mentions]

    def ground(self, mentions: Sequence[Mention]) -> Sequence[tuple[Region, ...] | Issue]:
        """The places of each mention in the model's order, without scores; ``()`` for none."""
        answers = ask_about(self._chat, mentions, self._prepared)
        return [
            self._regions(mention, answer)
            for mention, answer in zip(mentions, answers, strict=True)
        ]

    def _prepared(self, mention: Mention) -> PreparedRequest:
        sample, entity = mention.sample, mention.entity
        extent = self._extent(_sides(sample))
        values = {
            **sample_values(sample),
            "entity": entity_value(entity),
            "coordinates": PromptValue(
                _coordinates(extent, self._frame), "ground.frame, sample.image"
            ),
        }
        request = Request(
            messages_of(self._prompt, self._constants, values, image_of(sample)),
            partial(read_boxes, frame=self._frame),
            schema=self._schema,
            max_tokens=self._max_tokens,
        )
        given = {**self._constants, **values}
        return PreparedRequest((sample.id, (entity.id,)), request, self._prompt.name, given)

    def _extent(self, image: ImageSize) -> ImageSize:
        width, height = int(image.width), int(image.height)
        sent = sent_size(ImageSize(width, height), self._picture_side or max(width, height))
        return self._frame.extent(sent, self._resize)

    def _regions(
        self, mention: Mention, answer: ChatAnswer | NoAnswer
    ) -> tuple[Region, ...] | Issue:
        if isinstance(answer, NoAnswer):
            return issue_of("ground", mention.entity.id, answer)
        stated: Stated = answer.value
        image = _sides(mention.sample)
        extent = self._extent(image)
        try:
            boxes = [self._frame.box(numbers, extent, image) for numbers in stated[: self._most]]
        except OutsideFrame as error:
            message = f"{error}; does ground.frame fit the model?"
            return Issue("ground", mention.entity.id, OUTSIDE_FRAME, message)
        return tuple(Region(box, source=source_of(answer)) for box in dict.fromkeys(boxes))


def read_boxes(response: Response, *, frame: Frame) -> Stated:
    """The boxes of an answer, as stated.

    Raises:
        Unparsable: If it is no list of boxes, or one has its edges in the wrong order.
    """
    stated = tuple(tuple(item["bbox_2d"]) for item in parse_json(response, _SAID)["boxes"])
    try:
        for numbers in stated:
            frame.check_order(numbers)
    except InsideOut as error:
        raise Unparsable(f"{error}. A box is [{frame.order}].") from error
    return stated


def answer_schema(frame: Frame, most_regions: int) -> dict[str, Any]:
    """What the server is asked for.

    The numbers have no bounds: a server that kept to them would bend a box into the frame, and a
    wrong frame would go unseen.
    """
    number = {"type": "integer" if frame.is_whole else "number"}
    box = {
        "type": "object",
        "properties": {"bbox_2d": {"type": "array", "items": number, "minItems": 4, "maxItems": 4}},
        "required": ["bbox_2d"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"boxes": {"type": "array", "items": box, "maxItems": most_regions}},
        "required": ["boxes"],
        "additionalProperties": False,
    }


def _sides(sample: Sample) -> ImageSize:
    image = sample.image
    if image is None or image.width is None or image.height is None:
        raise UserError(f"sample {sample.id}: nobody has opened its picture")
    return ImageSize(image.width, image.height)


def _coordinates(extent: ImageSize, frame: Frame) -> str:
    kind = "whole numbers" if frame.is_whole else "decimal numbers"
    return (
        f"{kind}, x from 0 at the left edge of the picture to {extent.width:g} at the right edge, "
        f"y from 0 at the upper edge to {extent.height:g} at the lower edge"
    )
