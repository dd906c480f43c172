"""Knowledge about samples by a language model, which may be shown similar, annotated samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import ImageFault
from riveg.files import file_digest
from riveg.llm.answer_text import one_line
from riveg.llm.conversation import PreparedRequest, PromptValue
from riveg.protocols import AnswerOrIssue, Augmenter, ImageSource
from riveg.reads import Reads, reads
from riveg.stages.augmenters.answers import FORMS
from riveg.stages.chat_backend import (
    PromptedChat,
    PromptVariables,
    answer_form,
    label_constants,
    prompted_chat,
    sample_lines,
)
from riveg.types import Sample

if TYPE_CHECKING:
    from riveg.geometry.arrays import Pixels
    from riveg.stages.augmenters.similar_examples import Example, SimilarExamples

_VARIABLES = PromptVariables(("labels",), ("text", "caption", "similar"))


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

    def reads(self) -> Reads:
        return reads("text caption image")

    def build(self, context: BuildContext) -> ChatAugmenter:
        """Reads prompt and pool, and finds the model; nothing is asked yet.

        Raises:
            UserError: If one of them is not there or not fit for it, or an extra is missing.
        """
        return ChatAugmenter(
            prompted_chat(self, context, _VARIABLES, label_constants(context.labels)),
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
        prompt = _VARIABLES.read(self.prompt, base)
        answer_form(prompt, FORMS)
        return {"prompt": prompt.fingerprint, **self._pool_contents(base)}

    def _pool_contents(self, base: Path) -> Mapping[str, str]:
        from riveg.stages.augmenters.embeddings import model_digest
        from riveg.stages.augmenters.similar_examples import images_digest, read_pool

        if self.pool is None:
            return {}
        path = base / self.pool
        examples = read_pool(path)
        digests = {"pool": file_digest(path)}
        if self.embedding is not None:
            digests["embedding"] = model_digest(base / self.embedding)
        if self.picture_embedding is not None:
            digests["picture_embedding"] = model_digest(base / self.picture_embedding)
            digests["pool pictures"] = images_digest(examples, path.parent)
        return digests

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
        chat: The model with its prompt, whose block ``answer`` names the form of the answer.
        images: Where the samples' images are, for finding similar ones.
        examples: Finds similar annotated samples; ``None``: the prompt is given none.
        similar: How many.
        max_tokens: Of the answer.

    Raises:
        UserError: If the prompt names no form of answer.
    """

    def __init__(
        self,
        chat: PromptedChat,
        *,
        images: ImageSource,
        examples: SimilarExamples | None = None,
        similar: int = 5,
        max_tokens: int = 512,
    ) -> None:
        self._chat = chat
        self._form = answer_form(chat.prompt, FORMS)
        self._images = images
        self._examples = examples
        self._similar = similar
        self._max_tokens = max_tokens

    def prepare(self, samples: Sequence[Sample]) -> Sequence[PreparedRequest]:
        """The requests that :meth:`augment` sends, in its order.

        Raises:
            UserError: If the prompt fails on one of them.
        """
        return [self._prepared(sample) for sample in samples]

    def augment(self, samples: Sequence[Sample]) -> Sequence[AnswerOrIssue[str]]:
        """Knowledge about each sample, on one line."""
        return self._chat.answer(samples, self._prepared, lambda _, answer: str(answer.value))

    def _prepared(self, sample: Sample) -> PreparedRequest:
        similar = PromptValue(self._similar_to(sample), "augment.pool")
        return self._chat.prepare(
            sample,
            (),
            {**sample_lines(sample), "similar": similar},
            self._form.read,
            schema=self._form.schema,
            max_tokens=self._max_tokens,
        )

    def _similar_to(self, sample: Sample) -> tuple[Mapping[str, Any], ...]:
        if self._examples is None:
            return ()
        examples = self._examples.find(sample.text, self._pixels(sample), self._similar)
        return tuple(map(_example_value, examples))

    def _pixels(self, sample: Sample) -> Pixels | None:
        if sample.image is None or self._examples is None or not self._examples.compares_images:
            return None
        try:
            return self._images.load(sample.image)
        except ImageFault:  # its text alone still finds similar samples
            return None


def _example_value(example: Example) -> Mapping[str, Any]:
    return {
        "text": one_line(example.text),
        "caption": one_line(example.caption),
        "annotation": example.annotation.strip(),
    }
