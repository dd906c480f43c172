"""The task that a configuration names, with the stage's own backend behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from riveg.datasets.dataset import Dataset
from riveg.geometry.frames import Resize
from riveg.labels import Label
from riveg.llm.conversation import Chat
from riveg.llm.endpoint import Endpoint
from riveg.protocols import ImageSource
from riveg.runs.building import build_context
from riveg.training.vlm.dev_scores import DevScores
from riveg.training.vlm.extracting import Extracting
from riveg.training.vlm.grounding import Grounding
from riveg.training.vlm.questions import Task
from riveg.training.vlm.reranking import Reranking
from riveg.training.vlm.rewriting import Rewriting
from riveg.training.vlm.settings import VlmSettings, stage_block


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What a system would say around its stage."""

    llm: Mapping[str, Endpoint]
    labels: tuple[Label, ...]
    base: Path = Path()


def make_task(
    config: VlmSettings,
    chat: Chat,
    dev: Dataset,
    images: ImageSource,
    *,
    resize: Resize,
    thoughts: Mapping[str, str],
) -> Task:
    """The task.

    Args:
        config: The configuration.
        chat: Is asked on dev, and nothing before.
        dev: What epochs are chosen by.
        images: Those of dev.
        resize: What the model's processor does to images.
        thoughts: What stands before the answers, by post.

    Raises:
        UserError: If the prompt, the frame or the gold of dev cannot be used.
    """
    block = stage_block(config)
    # Never opened: it says how large images are sent, as the endpoint of a system would.
    endpoint = Endpoint(model=config.model, engine="vllm-offline", picture_side=config.picture_side)
    around = _Surroundings({block.llm: endpoint}, config.labels)
    context = build_context(around, images, chats={block.llm: chat})
    if config.task == "rerank":
        return Reranking.of(config, context)
    if config.task == "rewrite":
        return Rewriting.of(config, context)
    scores = DevScores(dev)
    if config.task == "ground":
        return Grounding.of(config, context, resize, scores)
    return Extracting.of(config, context, resize, scores, thoughts)
