"""What the training loop asks of a grounder: rows, network, loss, figures on dev."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from riveg.checkpoints.folders import ModelFiles, model_folder
from riveg.errors import UserError, suggest
from riveg.protocols import PartialAnswer
from riveg.stages.grounders.grounding_dino import GroundingDino
from riveg.training.batches import Chance
from riveg.training.config import Course
from riveg.training.expressions import read_expressions
from riveg.training.grounder.data import pictures_without_words, read_mentions
from riveg.training.grounder.figures import ACCURACY, LOSS, Found, figures
from riveg.training.grounder.loss import grounding_loss
from riveg.training.grounder.rows import GroundingRow, RowMaker
from riveg.training.grounder.settings import FROZEN, GrounderTrainingSettings
from riveg.vision.detectors.grounding_dino import (
    GroundingDinoNetwork,
    PhraseReader,
    load_grounding_dino,
)
from riveg.vision.detectors.phrase_search import PhraseSearch
from riveg.vision.runtime.options import TorchOptions

_MOST_REGIONS = 20
"""Boxes of a mention that AP looks at."""
_OVERLAP = 0.7
_PROBED = 256
"""Side of the picture that tells how many places a network makes of one, in pixels."""


class GrounderTrainee:
    """What the training loop asks of a grounder.

    Args:
        config: What to train.
        course: On what; hears what was read.

    Raises:
        UserError: If the model, the data, the runs or the learning rates are not what they should
            be.
    """

    def __init__(self, config: GrounderTrainingSettings, course: Course) -> None:
        self.config = config
        self.folder = model_folder(ModelFiles(config.model, config.revision), Path())
        network = self.network()
        _require_parts(network, config)
        self._reader = PhraseReader(self.folder, network.config)
        expressions = read_expressions(config.expressions) if config.expressions else None
        self._dev_images = course.dev.images
        train = read_mentions(course.train, expressions)
        self.dev = read_mentions(course.dev, expressions)
        made_of: dict[str, Any] = {
            "strides": _strides(network),
            "queries": network.config.num_queries if network.config.two_stage else 0,
        }
        self._maker = RowMaker(
            config,
            self._reader,
            course.train.images,
            without_words=pictures_without_words(config.observations),
            **made_of,
        )
        self._dev_maker = RowMaker(config, self._reader, self._dev_images, **made_of)
        self._rows, told = self._maker.rows(train.mentions)
        self._dev_rows, told_of_dev = self._dev_maker.rows(self.dev.mentions)
        self.remarks = (*train.remarks, *self.dev.remarks, *told, *self._mirrored())
        for text in self.remarks:
            course.progress.note(text)
        if not any(row.boxes for row in self._rows):
            raise UserError(f"{train.source.name}: no phrase is left to learn from; {told[-1]}")
        if not self._dev_rows:
            name = self.dev.source.name
            raise UserError(f"{name}: no phrase is left to measure on; {told_of_dev[-1]}")

    @property
    def metric(self) -> str:
        """The share of shown mentions whose best box is right."""
        return ACCURACY

    def rows(self) -> Sequence[GroundingRow]:
        """The phrases of train."""
        return self._rows

    def length(self, row: GroundingRow) -> int:
        """Its input's size."""
        return self._maker.length(row)

    def network(self) -> Any:
        """The checkpoint to begin with; its frozen backbones learn nothing."""
        network = load_grounding_dino(
            self.folder, TorchOptions(model=self.config.model, device="cpu")
        )
        for name, parameter in network.named_parameters():
            if name.startswith(tuple(FROZEN[one] for one in self.config.freeze)):
                parameter.requires_grad_(False)
        return network

    def batch(self, rows: Sequence[GroundingRow], chance: Chance) -> dict[str, Tensor]:
        """Inputs and gold of rows, whose pictures and boxes this visit changes."""
        return self._maker.batch(rows, chance.visit)

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """The library's loss, as :func:`grounding_loss` has it."""
        return grounding_loss(network, batch, every_layer=self.config.every_layer)

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Figures on dev in percent, and the loss there."""
        return {
            **figures(self.dev.mentions, self.answers_on_dev(network)),
            LOSS: self._loss_on_dev(network),
        }

    def answers_on_dev(self, network: nn.Module) -> list[Found]:
        """What ``ground: grounding-dino`` answers on dev in float32, whatever the scores.

        Raises:
            UserError: If a picture that could be opened before cannot be any more.
        """
        device = str(next(network.parameters()).device)
        options = TorchOptions(model=self.config.model, device=device, dtype="float32")
        # A copy: the backend puts layers of its own into the network.
        asked = GroundingDinoNetwork(self.folder, options, copy.deepcopy(network).eval())
        finder = GroundingDino(asked, self.config.asked, batch_size=self.config.loop.batch_size)
        search = PhraseSearch(
            self._dev_images,
            finder,
            source="grounding-dino",
            most_regions=_MOST_REGIONS,
            overlap=_OVERLAP,
        )
        found: list[Found] = []
        for answer in search.ground([one.mention for one in self.dev.mentions]):
            regions = answer.answer if isinstance(answer, PartialAnswer) else answer
            found.append(regions if isinstance(regions, tuple) else ())
        return found

    def _loss_on_dev(self, network: nn.Module) -> float:
        device, step = next(network.parameters()).device, self.config.loop.batch_size
        rows = sorted(self._dev_rows, key=self._dev_maker.length)
        total = 0.0
        with torch.inference_mode():
            for start in range(0, len(rows), step):
                some = rows[start : start + step]
                batch = self._dev_maker.batch(some, None)
                moved = {name: tensor.to(device) for name, tensor in batch.items()}
                total += len(some) * self.loss(network, moved).item()
        return total / len(rows)

    def _mirrored(self) -> list[str]:
        if not self.config.augmentation.flip:
            return []
        count = sum(row.mirrors for row in self._rows)
        return [
            f"{count} of {len(self._rows)} phrases may be learnt in a mirror: no words in the "
            "picture, no side in the phrase"
        ]


def _strides(network: Any) -> tuple[int, ...]:
    """Pixels a place of each level of maps, finest first."""
    with torch.inference_mode():
        maps = network.model.backbone.conv_encoder.model(
            torch.zeros(1, 3, _PROBED, _PROBED), return_dict=True
        ).feature_maps
    strides = [_PROBED // one.shape[-1] for one in maps]
    while len(strides) < network.config.num_feature_levels:
        strides.append(2 * strides[-1])
    return tuple(strides)


def _require_parts(network: Any, config: GrounderTrainingSettings) -> None:
    """Makes sure that each learning rate is of some parameter.

    Raises:
        UserError: If one is not.
    """
    names = [name for name, _ in network.named_parameters()]
    for name in config.loop.learning_rates:
        if not any(one.startswith(name) for one in names):
            known = {".".join(one.split(".")[:2]) for one in names}
            raise UserError(
                f"loop.learning_rates: no parameter's name begins with {name!r}; "
                f"{suggest(name, known)}"
            )
