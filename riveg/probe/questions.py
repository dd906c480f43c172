"""What a model is asked about the drawings. Boxes are asked for as ``ground: chat`` asks."""

from __future__ import annotations

import re
from functools import partial

from riveg.geometry.frames import FRAMES
from riveg.labels import USUAL_LABELS
from riveg.llm.conversation import (
    AttachedImage,
    Chat,
    Message,
    PreparedRequest,
    PromptValue,
    Request,
    Response,
)
from riveg.llm.prompts import load_prompt
from riveg.probe.drawings import COLOURS, Drawing, Target
from riveg.protocols import Mention
from riveg.stages.chat_backend import (
    PromptedChat,
    entity_value,
    label_constants,
    sample_values,
)
from riveg.stages.grounders.answers import answer_schema, read_faultless_boxes
from riveg.text.tokenise import tokenise
from riveg.types import Entity, Sample, Span

_ANY_FRAME = FRAMES["norm1"]
"""Its numbers may be decimal, x stands first, and what is written is not bound to an extent."""

_OWN_COORDINATES = "those in which you were trained to give boxes"

_COLOUR = (
    f"The picture shows a square. Which colour is it: {', '.join(COLOURS)}? "
    "Answer with the colour alone, in one word."
)
_WORD = "Which word is printed in the picture? Answer with the word alone."
_PLAIN_WORDS = "Say in one short sentence what a lighthouse is."

_UNEXPECTED = {
    "type": "object",
    "properties": {
        "animal": {"type": "string", "maxLength": 24},
        "legs": {"type": "integer", "minimum": 0, "maximum": 8},
    },
    "required": ["animal", "legs"],
    "additionalProperties": False,
}
"""Nobody who only reads the question would answer by it: the server has to see to that."""

_MAX_TOKENS = 128
_MOST_REGIONS = 8
_BOX_TOKENS = 384


def _whole(response: Response) -> Response:
    return response


def _asked(text: str, drawing: Drawing | None) -> tuple[Message, ...]:
    images = () if drawing is None else (AttachedImage(drawing.image),)
    return (Message("user", text, images),)


def colour_request(square: Drawing) -> Request:
    """Which colour a square has; with the log-probabilities of the first token and of all."""
    return Request(
        _asked(_COLOUR, square), _whole, max_tokens=_MAX_TOKENS, first_tokens=5, in_full=True
    )


def word_request(scene: Drawing | None) -> Request:
    """Which word is printed; ``None``: the same words without an image.

    With a first token, so that a long answer is taken as it is and its tokens are counted.
    """
    return Request(_asked(_WORD, scene), _whole, max_tokens=_MAX_TOKENS, first_tokens=1)


def schema_request() -> Request:
    """A question that says nothing of JSON, with a schema for its answer."""
    return Request(_asked(_PLAIN_WORDS, None), _whole, schema=_UNEXPECTED, max_tokens=_MAX_TOKENS)


def names_colour(text: str, colour: str) -> bool:
    """Whether an answer names this colour and no other.

    >>> names_colour("Red.", "red"), names_colour("red or blue", "red")
    (True, False)
    """
    return {word for word in re.findall(r"[a-z]+", text.lower()) if word in COLOURS} == {colour}


def names_word(text: str, word: str) -> bool:
    """Whether an answer names the printed word."""
    return word.casefold() in text.casefold()


def mention_of(scene: Drawing, target: Target) -> Mention:
    """A thing in a drawing as an entity of a post, for ``ground: chat``."""
    text = f"the {target.name}"
    tokens, offsets = tokenise(text)
    entity = Entity("e0", target.name, "OTHER", Span(1, len(tokens)), expression=text)
    sample_id = f"{scene.image.path}, {target.name}"
    return Mention(
        Sample(sample_id, text, tokens, offsets, scene.image, entities=(entity,)), entity
    )


class BoxQuestions:
    """Asks for boxes by the prompt of ``ground: chat``, but names no frame.

    Args:
        chat: The model.
    """

    def __init__(self, chat: Chat) -> None:
        constants = {
            "order": PromptValue(_ANY_FRAME.order, "probe"),
            **label_constants(USUAL_LABELS),
        }
        self._chat = PromptedChat("ground", chat, load_prompt("ground/boxes.v1"), constants)

    def prepared(self, mention: Mention) -> PreparedRequest:
        """The question about one thing; its answer is the boxes as they are written."""
        values = {
            **sample_values(mention.sample),
            "entity": entity_value(mention.entity),
            "coordinates": PromptValue(_OWN_COORDINATES, "probe"),
        }
        return self._chat.prepare(
            mention.sample,
            (mention.entity,),
            values,
            partial(read_faultless_boxes, frame=_ANY_FRAME),
            shows_image=True,
            schema=answer_schema(_ANY_FRAME, _MOST_REGIONS),
            max_tokens=_BOX_TOKENS,
        )
