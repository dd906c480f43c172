"""The task that a configuration names: its lesson, and its stage at work on dev."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from riveg.datasets.dataset import Dataset
from riveg.geometry.frames import Resize
from riveg.labels import Label
from riveg.lessons.making import make_lesson
from riveg.lessons.questions import Lesson
from riveg.llm.conversation import Chat
from riveg.llm.endpoint import Endpoint
from riveg.pipeline import AnyStageRunner, StageRunner
from riveg.protocols import ImageSource
from riveg.runs.building import build_context
from riveg.stages.table import stage_named
from riveg.training.vlm.dev_scores import DevScores, scores_of
from riveg.training.vlm.settings import VlmSettings, stage_block

_ALL = 1 << 30
"""Samples a call of a stage: the network makes its own batches of them."""


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What a system would say around its stage."""

    llm: Mapping[str, Endpoint]
    labels: tuple[Label, ...]
    base: Path = Path()


@dataclass(frozen=True, slots=True)
class Task:
    """A stage whose model is trained.

    Args:
        lesson: What is learnt.
        runner: The stage at work.
        scores: What it is worth.
    """

    lesson: Lesson
    runner: AnyStageRunner
    scores: DevScores


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
    lesson = make_lesson(
        block,
        context,
        resize=resize,
        jitter=config.jitter,
        thoughts=thoughts,
        seed=config.loop.seed,
        expressions=config.expressions,
    )
    stage = stage_named(config.task)
    assert stage is not None
    runner = StageRunner(
        stage, lesson.backend, images, needs_image=block.needs_image, batch_size=_ALL, gated=False
    )
    return Task(lesson, runner, scores_of(lesson, dev))
