"""Knowledge about samples by a language model, which may be shown similar, annotated samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import ImageFault
from riveg.files import file_digest
from riveg.labels import Label
from riveg.llm.answer_text import one_line
from riveg.llm.conversation import Chat, NoAnswer, PreparedRequest, PromptValue, Request
from riveg.llm.messages import require_conversation
from riveg.llm.prompts import Prompt, load_prompt
from riveg.protocols import Augmenter, ImageSource
from riveg.stages.augmenters.answers import FORMS, KnowledgeForm
from riveg.stages.chat_backend import (
    answer_form_name,
    ask_about,
    issue_of,
    label_values,
    messages_of,
    require_chat,
)
from riveg.types import Issue, Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from riveg.stages.augmenters.similar_examples import Example, SimilarExamples

_CONSTANTS = ("labels",)
_VALUES = ("text", "caption", "similar")


class ChatAugmenterConfig(BackendConfig[Augmenter]):
    """``llm``: the model's name; ``prompt``: a prompt's name or a ``.jinja`` file.

    ``pool``: JSON lines of annotated samples (``text``, ``annotation``, and ``caption`` and
    ``image`` where there are any), of which the prompt is given the ``similar`` most similar;
    ``embedding``: a local encoder for transformers that compares texts, or nothing to compare their
    character n-grams; ``picture_embedding``: a local CLIP-like model that compares images, or
    nothing to look at texts alone; ``max_tokens``: of the answer.
    """

    stage: ClassVar[str] = "augment"
    name: ClassVar[str] = "chat"
    summary: ClassVar[str] = "knowledge by a language model, shown similar annotated posts"
    extra: ClassVar[str | None] = "chat"
    uses_labels: ClassVar[bool] = True
    whole_parts: ClassVar[bool] = True

    llm: str = "main"
    prompt: str = "augment/pgim.v1"
    pool: Path | None = None
    similar: int = Field(default=5, ge=1, le=50)
    embedding: Path | None = None
    picture_embedding: Path | None = None
    max_tokens: int = Field(default=512, ge=1)

    def build(self, context: BuildContext) -> ChatAugmenter:
        """Reads prompt and pool, and finds the model; nothing is asked yet.

        Raises:
            UserError: If one of them is not there or not fit for it, or an extra is missing.
        """
        return ChatAugmenter(
            require_chat(context, self.stage, self.llm),
            load_prompt(self.prompt, folder=context.base),
            labels=context.labels,
            images=context.images,
            examples=self._examples(context.base),
            similar=self.similar,
            max_tokens=self.max_tokens,
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the prompt, the pool, its images' state and the embedding models.

        Raises:
            UserError: If the prompt fits no sample or a file is not there: found before the run.
        """
        prompt = load_prompt(self.prompt, folder=base)
        knowledge_form(prompt)
        return {"prompt": prompt.fingerprint, **dict(self._pool_contents(base))}

    def _pool_contents(self, base: Path) -> Mapping[str, str]:
        from riveg.stages.augmenters.embeddings import model_digest
        from riveg.stages.augmenters.similar_examples import images_digest, read_pool

        if self.pool is None:
            return {}
        path = base / self.pool
        examples = read_pool(path)
        found = {"pool": file_digest(path)}
        if self.embedding is not None:
            found["embedding"] = model_digest(base / self.embedding)
        if self.picture_embedding is not None:
            found["picture_embedding"] = model_digest(base / self.picture_embedding)
            found["pool pictures"] = images_digest(examples, path.parent)
        return found

    def _examples(self, base: Path) -> SimilarExamples | None:
        from riveg.stages.augmenters.embeddings import (
            CharacterNgrams,
            ClipImages,
            TransformerTexts,
            require_models_extra,
        )
        from riveg.stages.augmenters.similar_examples import SimilarExamples

        if self.pool is None:
            return None
        if self.embedding is not None or self.picture_embedding is not None:
            require_models_extra("augment: an embedding model")
        texts = (
            CharacterNgrams() if self.embedding is None else TransformerTexts(base / self.embedding)
        )
        folder = self.picture_embedding
        images = None if folder is None else ClipImages(base / folder)
        return SimilarExamples(base / self.pool, texts, images)


class ChatAugmenter:
    """Asks about each sample once.

    Args:
        chat: The model.
        prompt: With blocks ``user``, ``answer``, and ``system`` and ``examples`` where it has them.
        labels: The types that the prompt tells of.
        images: Where the samples' images are, for finding similar ones.
        examples: Finds similar annotated samples; ``None``: the prompt is given none.
        similar: How many.
        max_tokens: Of the answer.

    Raises:
        UserError: If the prompt fits no sample.
    """

    def __init__(
        self,
        chat: Chat,
        prompt: Prompt,
        *,
        labels: Sequence[Label],
        images: ImageSource,
        examples: SimilarExamples | None = None,
        similar: int = 5,
        max_tokens: int = 512,
    ) -> None:
        self._chat = chat
        self._prompt = prompt
        self._form = knowledge_form(prompt)
        self._images = images
        self._examples = examples
        self._similar = similar
        self._max_tokens = max_tokens
        self._constants = {"labels": PromptValue(label_values(labels), "labels")}

    def prepare(self, samples: Sequence[Sample]) -> Sequence[PreparedRequest]:
        """The questions that :meth:`augment` would ask, in its order.

        Raises:
            UserError: If the prompt fails on one of them.
        """
        return [self._prepared(sample) for sample in samples]

    def augment(self, samples: Sequence[Sample]) -> Sequence[str | Issue]:
        """Knowledge about each sample, on one line."""
        answers = ask_about(self._chat, samples, self._prepared)
        return [
            issue_of("augment", None, answer) if isinstance(answer, NoAnswer) else str(answer.value)
            for answer in answers
        ]

    def _prepared(self, sample: Sample) -> PreparedRequest:
        values = {
            "text": PromptValue(one_line(sample.text), "sample.text"),
            "caption": PromptValue(one_line(sample.caption or ""), "sample.caption"),
            "similar": PromptValue(self._similar_to(sample), "augment.pool"),
        }
        request = Request(
            messages_of(self._prompt, self._constants, values),
            parse=self._form.read,
            schema=self._form.schema,
            max_tokens=self._max_tokens,
        )
        given = {**self._constants, **values}
        return PreparedRequest((sample.id, ()), request, self._prompt.name, given)

    def _similar_to(self, sample: Sample) -> tuple[Mapping[str, Any], ...]:
        if self._examples is None:
            return ()
        found = self._examples.find(sample.text, self._pixels(sample), self._similar)
        return tuple(map(_example_value, found))

    def _pixels(self, sample: Sample) -> NDArray[np.uint8] | None:
        if sample.image is None or self._examples is None or not self._examples.looks_at_images:
            return None
        try:
            return self._images.load(sample.image)
        except ImageFault:  # its text still finds what resembles it
            return None


def knowledge_form(prompt: Prompt) -> KnowledgeForm:
    """The form of answer that a prompt asks for, by its block ``answer``.

    Raises:
        UserError: If it names none, or the prompt wants what no sample has.
    """
    require_conversation(prompt, constants=_CONSTANTS, values=_VALUES)
    return FORMS[answer_form_name(prompt, FORMS)]


def _example_value(example: Example) -> Mapping[str, Any]:
    return {
        "text": one_line(example.text),
        "caption": one_line(example.caption),
        "annotation": example.annotation.strip(),
    }
