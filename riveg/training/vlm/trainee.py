"""What the training loop asks of a vision-language model: rows, network, loss, figures on dev."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from riveg.checkpoints.folders import base_model_folder
from riveg.errors import UserError
from riveg.evaluation.bootstrap import Tally
from riveg.geometry.frames import FRAMES, Resize
from riveg.lessons.making import StageBlock
from riveg.llm.images import ImageEncoder
from riveg.stages.extractors.chat import ChatExtractorConfig
from riveg.stages.grounders.chat import ChatGrounderConfig
from riveg.training.batches import Chance
from riveg.training.config import Course
from riveg.training.vlm.inputs import VlmInputs
from riveg.training.vlm.network import answer_loss, load_network
from riveg.training.vlm.network_chat import NetworkChat
from riveg.training.vlm.rows import RowMaker, Rows, VlmRow, thoughts_of
from riveg.training.vlm.settings import VlmSettings, stage_block
from riveg.training.vlm.tasks import make_task

_ALIKE = 64
"""Tokens by which rows may differ and still share a batch."""


class VlmTrainee:
    """What the training loop asks of the model.

    ``answered`` is the share of dev's posts that the last :meth:`tally` could read, in percent.

    Args:
        config: What to train.
        course: On what; hears what was read.
    """

    def __init__(self, config: VlmSettings, course: Course) -> None:
        self.config = config
        self.folder = base_model_folder(config.model, config.revision)
        self.inputs = VlmInputs(self.folder, stated_resize(config))
        dev_images = course.dev.images
        encoder = ImageEncoder(dev_images, config.picture_side)
        self._chat = NetworkChat(
            config.model, self.inputs, encoder, batch_size=config.dev_batch_size
        )
        thoughts, remarks = thoughts_of(course.train, config.reasoning)
        self.task = make_task(
            config,
            self._chat,
            course.dev.dataset,
            dev_images,
            resize=self.inputs.resize,
            thoughts=thoughts,
        )
        self._dev = course.dev.pairs
        self.answered = 0.0
        train_images = course.train.images
        self._maker = RowMaker(
            self.task.lesson,
            self.inputs,
            ImageEncoder(train_images, config.picture_side),
            max_length=config.max_length,
        )
        self._rows: Rows = self._maker.rows(course.train, train_images, course.progress)
        self.remarks = (*remarks, *self._rows.remarks(), *self.task.lesson.remarks())
        for text in self.remarks:
            course.progress.note(text)
        if not self._rows.rows:
            raise UserError(
                f"{course.train.name}: no post is left to learn from; {self.remarks[-1]}"
            )

    @property
    def block(self) -> StageBlock:
        """What a system says of the stage."""
        return stage_block(self.config)

    @property
    def metric(self) -> str:
        """The figure of the task that chooses."""
        return self.task.scores.metric

    def rows(self) -> Sequence[VlmRow]:
        """The questions of train."""
        return self._rows.rows

    def length(self, row: VlmRow) -> int:
        """Its tokens, roughly: nearly equal rows in one batch would learn one thing at a time."""
        return row.length // _ALIKE

    def network(self) -> nn.Module:
        """The frozen model with matrices: random ones by the seed, or those of an adapter."""
        network: nn.Module = load_network(self.config, self.folder)
        return network

    def batch(self, rows: Sequence[VlmRow], chance: Chance) -> dict[str, Tensor]:
        """Questions with their answers, whose boxes this visit moves."""
        return self._maker.batch(rows, chance.visit)

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """The mean negative log-likelihood of the answers' tokens."""
        return answer_loss(network, batch)

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """The task's figures on dev in percent, of greedy answers."""
        tally = self.tally(network)
        figures = {name: count.f1 for name, count in tally.totals().items()}
        return {**figures, "answered": self.answered}

    def tally(self, network: nn.Module) -> Tally:
        """Hits, predicted and gold entities of each post of dev, by figure.

        Raises:
            UserError: If the network fails at a post.
        """
        self._chat.network = network
        asked = [self.task.lesson.asked(sample, gold) for sample, gold in self._dev]
        tally = Tally()
        read = 0
        for found, (_, gold) in zip(self.task.runner(asked), self._dev, strict=True):
            failed = next((one for one in found.issues if one.kind == "backend-error"), None)
            if failed is not None:
                raise UserError(f"dev: {found.id!r:.80}: {failed.message}")
            read += not any(one.stage == self.config.task for one in found.issues)
            tally.add(self.task.scores.counts(found, gold))
        self.answered = 100 * read / len(self._dev)
        return tally


def stated_resize(config: VlmSettings) -> Resize | None:
    """What the stage says about how images are resized, where its frame depends on that."""
    block = stage_block(config)
    if not isinstance(block, ChatExtractorConfig | ChatGrounderConfig):
        return None
    is_told = FRAMES[block.frame].is_sized and block.resize.multiple > 1
    return block.resize if is_told else None
