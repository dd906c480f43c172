"""What the training loop asks of an entailer: rows, network, loss, figures on dev."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from riveg.checkpoints.folders import base_model_folder
from riveg.errors import UserError
from riveg.training.config import Course
from riveg.training.entailer_itm.data import MatchRow, MatchRows, read_rows
from riveg.training.entailer_itm.figures import ACCURACY, Judged, calibrate, tally
from riveg.training.entailer_itm.settings import EntailerItmSettings
from riveg.training.expressions import read_expressions
from riveg.training.loop_settings import LoopSettings
from riveg.training.pictures import open_again
from riveg.vision.matchers.loading import load_matcher, matcher_of
from riveg.vision.matchers.matcher import Pair
from riveg.vision.queries import TextReader
from riveg.vision.runtime.options import TorchOptions
from riveg.vision.runtime.tensors import image_tensors, stacked

if TYPE_CHECKING:
    from riveg.vision.runtime.tensors import ImageTensors

_IMAGE, _WORDS = "image.", "words."
"""What the keys of a batch begin with; the rest is the name of the network's argument."""
_PLACES, _SHOWN = "places", "shown"


class EntailerItm:
    """What the training loop asks of an entailer.

    A row is a gold mention; the loss is the binary cross-entropy of "shown", which of a head with
    two logits is the cross-entropy of both.

    Args:
        config: What to train.
        course: On what; hears what was read.

    Raises:
        UserError: If the model is not there or another, or the data cannot be learnt from.
    """

    metric = ACCURACY

    def __init__(self, config: EntailerItmSettings, course: Course) -> None:
        self.config = config
        folder = base_model_folder(config.model, config.revision)
        self.matcher_name = matcher_of(folder)
        options = TorchOptions(
            model=str(folder), device="cpu", dtype="float32", batch_size=config.loop.batch_size
        )
        self.matcher = load_matcher(self.matcher_name, folder, options)
        self._freeze()
        _require_rates(config.loop, self.matcher.network)
        reader = TextReader(config.query, self.matcher.most_tokens, self.matcher.count_tokens)
        expressions = read_expressions(config.expressions) if config.expressions else None
        self.train = read_rows(course.train, reader, expressions)
        self.dev = read_rows(course.dev, reader, expressions)
        for text in self.remarks():
            course.progress.note(text)

    def remarks(self) -> list[str]:
        """What a user should know of the data."""
        return [*self.train.remarks, *self.dev.remarks]

    def rows(self) -> Sequence[MatchRow]:
        """The mentions of train."""
        return self.train.rows

    def length(self, row: MatchRow) -> int:
        """The tokens of its text."""
        return self.matcher.count_tokens(row.text)

    def network(self) -> nn.Module:
        """The model as it was published."""
        network: nn.Module = copy.deepcopy(self.matcher.network)
        return network

    def batch(self, rows: Sequence[MatchRow], chance: random.Random) -> dict[str, Tensor]:  # noqa: ARG002
        """Pictures, each once, texts, and what is right.

        Raises:
            UserError: If a picture that could be opened before cannot be any more.
        """
        prepared, places = self._pictures(self.train, rows)
        seen = stacked(prepared, torch.device("cpu"))
        words = self.matcher.words([row.text for row in rows])
        return {
            **{f"{_IMAGE}{name}": one for name, one in seen.items()},
            **{f"{_WORDS}{name}": one for name, one in words.items()},
            _PLACES: torch.tensor(places),
            _SHOWN: torch.tensor([float(row.is_shown) for row in rows]),
        }

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Binary cross-entropy of "shown"."""
        log_odds = self.matcher.with_network(network).log_odds(
            _below(batch, _IMAGE), _below(batch, _WORDS), batch[_PLACES]
        )
        return nn.functional.binary_cross_entropy_with_logits(log_odds, batch[_SHOWN])

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Figures on dev in percent, at the threshold that fits it best."""
        judged = self.judged_on_dev(network)
        found = tally(judged, calibrate(judged, self.config.query))
        return {name: count.f1 for name, count in found.totals().items()}

    def judged_on_dev(self, network: nn.Module) -> list[Judged]:
        """What the network says of each mention of dev, wherever it lies."""
        matcher = self.matcher.with_network(network)
        found: list[Judged] = []
        for rows in self._some_at_a_time():
            prepared, places = self._pictures(self.dev, rows)
            pairs = [Pair(place, row.text) for place, row in zip(places, rows, strict=True)]
            found += map(Judged, rows, matcher.probabilities(prepared, pairs))
        return found

    def _some_at_a_time(self) -> Iterator[Sequence[MatchRow]]:
        # Not all pictures of dev lie in memory at once.
        step = 4 * self.config.loop.batch_size
        for start in range(0, len(self.dev.rows), step):
            yield self.dev.rows[start : start + step]

    def _pictures(
        self, split: MatchRows, rows: Sequence[MatchRow]
    ) -> tuple[list[ImageTensors], list[int]]:
        """The pictures of rows, each once, and the place of each row's picture among them."""
        images = {row.image.path: row.image for row in rows}
        numbers = {path: number for number, path in enumerate(images)}
        prepared = [
            image_tensors(self.matcher.processor, open_again(split.images, image))
            for image in images.values()
        ]
        return prepared, [numbers[row.image.path] for row in rows]

    def _freeze(self) -> None:
        """Parameters that stay as they are, or that no answer depends on, are not trained."""
        frozen = [start for tower in self.config.frozen for start in self.matcher.towers[tower]]
        still = {*frozen, *self.matcher.unused}
        for name, parameter in self.matcher.network.named_parameters():
            parameter.requires_grad = name.partition(".")[0] not in still


def _require_rates(loop: LoopSettings, network: nn.Module) -> None:
    """Makes sure that every rate of the loop is of a part that is trained.

    Raises:
        UserError: If one is not.
    """
    trained = {name for name, one in network.named_parameters() if one.requires_grad}
    parts = dict.fromkeys(name.partition(".")[0] for name in sorted(trained))
    try:
        loop.with_rates_of(tuple(parts))
    except ValueError as error:
        raise UserError(f"loop.{error}") from error


def _below(batch: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    """The tensors whose keys begin so, without that."""
    return {name.removeprefix(start): one for name, one in batch.items() if name.startswith(start)}
