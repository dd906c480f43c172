"""Annotated entities with the thoughts that lead to them, written by a language model.

``riveg train vlm`` reads a run of it as ``reasoning:``. The model is given the gold and told not to
betray it; an answer that does is asked for again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.llm.answer_text import text_of
from riveg.llm.conversation import ChatAnswer, PreparedRequest, PromptValue, Response, Unparsable
from riveg.protocols import AnswerOrIssue, Extraction, Extractor
from riveg.stages.chat_backend import (
    PromptedChat,
    PromptVariables,
    label_constants,
    prompted_chat,
    sample_values,
)
from riveg.stages.oracle import SOURCE, no_boxes, no_gold
from riveg.types import Entity, Gold, GoldEntity, Issue, Region, Sample

MOST_OF_REASONING = 4_000
"""Characters of a thought."""

_VARIABLES = PromptVariables(("labels",), ("text", "caption", "entities"))
_RESULT = r"(?:answers?|results?|entit(?:y|ies)|labels?|box(?:es)?)"
_BETRAYS = re.compile(
    rf"\b(?:ground[ -]truth|annotat\w*|the expert|{_RESULT} (?:was|were|is|are) "
    rf"(?:given|told|provided)|(?:given|provided|expected|known|gold) {_RESULT})\b",
    re.IGNORECASE,
)
_TAG = re.compile(r"</?(?:think|answer)>", re.IGNORECASE)


class TeacherConfig(BackendConfig[Extractor]):
    """``llm``: the teacher's name; ``prompt``: a prompt's name or a ``.jinja`` file.

    ``max_tokens``: of a thought.
    """

    stage: ClassVar[str] = "extract"
    name: ClassVar[str] = "teacher"
    summary: ClassVar[str] = "oracle: the annotated entities, with a teacher's reasoning"
    extra: ClassVar[str | None] = "chat"
    needs_image: ClassVar[bool] = True
    oracle: ClassVar[bool] = True
    uses_labels: ClassVar[bool] = True
    whole_parts: ClassVar[bool] = True

    llm: str = "main"
    prompt: str = "reasoning/e2e-gmner.v1"
    max_tokens: int = Field(default=768, ge=1)

    def build(self, context: BuildContext) -> Teacher:
        """Reads the prompt and finds the model; nothing is asked yet.

        Raises:
            UserError: If there is no such model or prompt, or the prompt fits no sample.
        """
        chat = prompted_chat(self, context, _VARIABLES, label_constants(context.labels))
        return Teacher(chat, context.gold, max_tokens=self.max_tokens)

    def contents(self, base: Path) -> Mapping[str, str]:
        return _VARIABLES.contents(self.prompt, base)


class Teacher:
    """Asks one question about each annotated sample.

    Args:
        chat: The model with its prompt.
        gold: By sample id.
        max_tokens: Of a thought.
    """

    def __init__(
        self, chat: PromptedChat, gold: Mapping[str, Gold], *, max_tokens: int = 768
    ) -> None:
        self._chat = chat
        self._gold = gold
        self._max_tokens = max_tokens

    def prepare(self, samples: Sequence[Sample]) -> Sequence[PreparedRequest]:
        """The requests that :meth:`extract` sends; none about samples without gold or its boxes.

        Raises:
            UserError: If the prompt fails on one of them.
        """
        return [self._prepared(sample) for sample in samples if self._lacking(sample) is None]

    def extract(self, samples: Sequence[Sample]) -> Sequence[AnswerOrIssue[Extraction]]:
        """The annotated entities and regions of each sample, and what was thought before."""
        lacking = [self._lacking(sample) for sample in samples]
        asked = [sample for sample, no in zip(samples, lacking, strict=True) if no is None]
        answers = iter(self._chat.answer(asked, self._prepared, self._read))
        return [next(answers) if no is None else no for no in lacking]

    def _lacking(self, sample: Sample) -> Issue | None:
        """Why nobody could think about a sample what is annotated, if so."""
        gold = self._gold.get(sample.id)
        if gold is None:
            return no_gold("extract", None, sample.id)
        return no_boxes(gold, "extract", None)

    def _prepared(self, sample: Sample) -> PreparedRequest:
        found = [
            {"text": one.text, "label": one.label, "is_shown": bool(one.boxes)}
            for one in self._gold[sample.id].entities
        ]
        return self._chat.prepare(
            sample,
            (),
            {**sample_values(sample), "entities": PromptValue(found, "gold")},
            read_reasoning,
            shows_image=True,
            max_tokens=self._max_tokens,
        )

    def _read(self, sample: Sample, answer: ChatAnswer) -> AnswerOrIssue[Extraction]:
        entities = enumerate(self._gold[sample.id].entities)
        return Extraction(tuple(_entity(*one) for one in entities), str(answer.value))


def read_reasoning(response: Response) -> str:
    """A thought on one line.

    Raises:
        Unparsable: If there is none, or it is too long, or says that the result was known.
    """
    text = text_of(_TAG.sub(" ", response.text), "The analysis", MOST_OF_REASONING)
    if (betrayed := _BETRAYS.search(text)) is not None:
        raise Unparsable(
            f"The analysis says {betrayed[0]!r}, as if the result was known. Write it anew, from "
            "post and picture alone."
        )
    return text


def _entity(number: int, gold: GoldEntity) -> Entity:
    regions = tuple(Region(box, source=SOURCE) for box in gold.boxes or ())
    return Entity(
        f"e{number}",
        gold.text,
        gold.label,
        gold.span,
        fine_label=gold.fine_label,
        regions=regions,
    )
