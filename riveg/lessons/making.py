"""The lesson of a stage, from what a system says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from riveg.config.backend import BuildContext
from riveg.geometry.frames import Resize
from riveg.geometry.jitter import Jitter
from riveg.lessons.extracting import Extracting
from riveg.lessons.grounding import Grounding
from riveg.lessons.questions import Lesson
from riveg.lessons.reranking import Reranking
from riveg.lessons.rewriting import Rewriting
from riveg.stages.extractors.chat import ChatExtractorConfig
from riveg.stages.grounders.chat import ChatGrounderConfig
from riveg.stages.rerankers.chat import ChatRerankerConfig
from riveg.stages.rewriters.chat import ChatRewriterConfig

TaskName = Literal["extract", "ground", "rerank", "rewrite"]
"""Which stage a model learns."""

StageBlock = ChatExtractorConfig | ChatGrounderConfig | ChatRerankerConfig | ChatRewriterConfig
"""What a system says of that stage."""

SEED = 1
"""Of the candidates of a reranker, unless another is named."""


def make_lesson(
    block: StageBlock,
    context: BuildContext,
    *,
    resize: Resize | None = None,
    jitter: Jitter | None = None,
    thoughts: Mapping[str, str] = MappingProxyType({}),
    seed: int = SEED,
    expressions: Sequence[Path] = (),
) -> Lesson:
    """The lesson.

    Args:
        block: What a system says of the stage.
        context: What its backend is built from, with the types; no model is asked.
        resize: Of boxes that are moved: what the model's processor does to images as they are
            sent; ``None``: what the block says.
        jitter: How boxes are moved; ``None``: not at all.
        thoughts: Of an extractor: what stands before the answers, by post.
        seed: Of a reranker: of its candidates.
        expressions: Of a rewriter: runs, or files of records, whose expressions are learnt.

    Raises:
        UserError: If the prompt, the frame or the recorded expressions cannot be used.
    """
    if isinstance(block, ChatRerankerConfig):
        return Reranking.of(block, context, seed)
    if isinstance(block, ChatRewriterConfig):
        return Rewriting.of(block, context, expressions)
    resize = resize or block.resize
    if isinstance(block, ChatGrounderConfig):
        return Grounding.of(block, context, resize, jitter)
    return Extracting.of(block, context, resize, jitter, thoughts)
