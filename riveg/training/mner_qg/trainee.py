"""What the training loop asks of MNER-QG: rows, network, loss, figures on dev."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
import transformers
from torch import Tensor, nn

from riveg.checkpoints.encoder_folders import encoder_folder
from riveg.checkpoints.folders import ModelFiles, model_folder
from riveg.errors import UserError
from riveg.nn.anchors import AnchorGrid, cluster_anchors, scaled_apart
from riveg.nn.backbones import channel_statistics, load_backbone, scale_grids
from riveg.nn.encoders import load_encoder, load_fast_tokenizer, padding_id
from riveg.nn.mner_qg import MnerQg
from riveg.nn.mner_qg_design import ANCHORS, SCALES, MnerQgDesign, MnerQgSettings
from riveg.nn.mner_qg_prediction import MnerQgPrediction, QueryAnswer
from riveg.nn.query_windows import QueryWindows
from riveg.nn.tagger_folder import require_pieces, require_positions
from riveg.training.config import Course
from riveg.training.data import coarse_of_fine
from riveg.training.mner_qg.data import (
    QueryPosts,
    read_posts,
    read_weak_boxes,
    require_known_boxes,
    require_queries,
    unasked,
)
from riveg.training.mner_qg.figures import F1, GMNER, calibrate, tally
from riveg.training.mner_qg.rows import QueryRow, RowMaker
from riveg.training.mner_qg.settings import MnerQgTrainingSettings
from riveg.vision.runtime.loading import Placement
from riveg.vision.runtime.square_images import Preparation


class MnerQgTrainee:
    """What the training loop asks of MNER-QG.

    Args:
        config: What to train.
        course: On what; hears what was read.
    """

    def __init__(self, config: MnerQgTrainingSettings, course: Course) -> None:
        self.config = config
        self._folder = encoder_folder(config.model, config.revision)
        self._backbone_folder = model_folder(
            ModelFiles(config.backbone, config.backbone_revision, setting="backbone"), Path()
        )
        self.tokenizer = load_fast_tokenizer(self._folder)
        encoder, backbone = load_encoder(self._folder), load_backbone(self._backbone_folder)
        require_positions(encoder, config.max_pieces)
        require_pieces(encoder, self.tokenizer, self._folder)
        grids = scale_grids(backbone, config.image_side, self._backbone_folder)
        windows = QueryWindows(self.tokenizer, config.queries, max_pieces=config.max_pieces)
        self._coarse_of = _coarse_of(config, course) if config.level == "fine" else {}
        weak = read_weak_boxes(config.weak_boxes, config.level, course.train, course.dev)
        self.train = read_posts(config, course.train, weak)
        self.dev = read_posts(config, course.dev, weak)
        require_queries(config, self.train, self.dev)
        self.design = _design(config, self.train, grids)
        if self.design.anchors:
            require_known_boxes(self.dev, config.level)
        self._statistics = channel_statistics(self._backbone_folder)
        self._padding_id = padding_id(encoder)
        train_maker, self._dev_maker = (
            RowMaker(
                windows,
                tuple(config.queries),
                level=config.level,
                grid=AnchorGrid(grids, self.design.anchors) if self.design.anchors else None,
                images=posts.source.images,
                preparation=self._preparation(),
                padding_id=self._padding_id,
            )
            for posts in (self.train, self.dev)
        )
        self._maker = train_maker
        self._rows = [train_maker.row(post) for post in self.train.posts]
        self._dev_rows = [self._dev_maker.row(post) for post in self.dev.posts]
        for text in self.remarks():
            course.progress.note(text)

    @property
    def metric(self) -> str:
        """F1 of entities with regions; without grounding, of entities."""
        return GMNER if self.design.anchors else F1

    @property
    def settings(self) -> MnerQgSettings:
        """What the trained folder says of itself, before it is calibrated."""
        mean, deviation = self._statistics
        return MnerQgSettings(
            design=self.design,
            queries=self.config.queries,
            coarse_of=self._coarse_of,
            max_pieces=self.config.max_pieces,
            mean=mean,
            deviation=deviation,
            weak_boxes=bool(self.config.weak_boxes),
        )

    def remarks(self) -> list[str]:
        """What a user should know of the data."""
        rows, dev = len(self._rows), len(self._dev_rows)
        texts = [f"{rows} posts to learn from, {dev} to choose by"]
        texts += [*self.train.remarks, *self.dev.remarks]
        if not self.config.looks:
            texts.append("no picture is opened: nothing in this network looks at one")
        texts += [
            f"{self.train.source.name}: has no {label}, so queries.{label} learns to find nothing"
            for label in unasked(self.config, self.train)
        ]
        if self.design.anchors:
            golds = [gold.boxes for row in self._rows for gold in row.golds]
            boxed = sum(1 for one in golds if one)
            unknown = sum(1 for one in golds if one is None)
            texts.append(
                f"{self.train.source.name}: {boxed} of {len(golds)} queries have a region"
                + (f"; of {unknown} it is not known" if unknown else "")
            )
        return texts

    def rows(self) -> Sequence[QueryRow]:
        """The rows of train."""
        return self._rows

    def length(self, row: QueryRow) -> int:
        """Its pieces."""
        return row.pieces

    def network(self) -> MnerQg:
        """Pretrained encoder and backbone; the rest is random, the same for the same seed."""
        transformers.set_seed(self.config.loop.seed)
        backbone = load_backbone(self._backbone_folder)
        return MnerQg(load_encoder(self._folder), backbone, self.design)

    def batch(self, rows: Sequence[QueryRow], chance: random.Random) -> dict[str, Tensor]:
        """Inputs and gold of rows, whose pictures are cropped as the configuration says."""
        changes = [row.cropped(self.config.augmentation, chance) for row in rows]
        return self._maker.batch(rows, changes)

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of the parts that the design has."""
        weights = self.config.weights
        parts = _mner_qg(network).losses(batch)
        return torch.stack([getattr(weights, name) * part for name, part in parts.items()]).sum()

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Figures on dev in percent, as the trained folder would answer after this epoch."""
        answers = self.answers_on_dev(_mner_qg(network))
        settings = calibrate(self.dev.posts, answers, self.settings, self.config.level)
        found = tally(self.dev.posts, answers, settings, self.config.level)
        return {name: count.f1 for name, count in found.totals().items()}

    def answers_on_dev(self, network: MnerQg) -> list[tuple[QueryAnswer, ...]]:
        """What the network says of each post of dev, wherever it lies, in float32."""
        prediction = MnerQgPrediction(
            network,
            Placement(next(network.parameters()).device, torch.float32),
            padding_id=self._padding_id,
            queries=len(self.config.queries),
            batch_size=self.config.loop.batch_size,
        )
        found: list[tuple[QueryAnswer, ...]] = []
        for rows in self._some_at_a_time():
            found += prediction.answers([self._dev_maker.queried(row) for row in rows])
        return found

    def _some_at_a_time(self) -> Iterator[list[QueryRow]]:
        # Not all pictures of dev lie in memory at once.
        step = self.config.loop.batch_size
        for start in range(0, len(self._dev_rows), step):
            yield self._dev_rows[start : start + step]

    def _preparation(self) -> Preparation:
        mean, deviation = self._statistics
        side = self.config.image_side
        return Preparation(side, side, mean=mean, deviation=deviation)


def _coarse_of(config: MnerQgTrainingSettings, course: Course) -> dict[str, str]:
    """The type above each query's fine type.

    Raises:
        UserError: If an entity has no fine type, or one stands below two types or below none.
    """
    declared = course.train.dataset.fine_labels.items()
    found = {fine: label for label, below in declared for fine in below}
    for split in (course.dev, course.train):
        found |= coarse_of_fine(split, "level: fine")
    for name in config.queries:
        if name not in found:
            raise UserError(
                f"queries.{name}: no entity of {course.train.name} or {course.dev.name} has this "
                "fine type, so it is not known which type it belongs to; leave the query out"
            )
    return {name: found[name] for name in config.queries}


def _design(
    config: MnerQgTrainingSettings, train: QueryPosts, grids: tuple[int, ...]
) -> MnerQgDesign:
    return MnerQgDesign(
        width=config.width,
        attention_heads=config.attention_heads,
        dropout=config.dropout,
        image_side=config.image_side,
        grids=grids,
        anchors=_anchors(config, train) if config.weights.anchor else (),
        existence=config.weights.existence > 0,
        cross_modality=config.cross_modality,
        frozen_norms=config.frozen_norms,
    )


def _anchors(
    config: MnerQgTrainingSettings, train: QueryPosts
) -> tuple[tuple[tuple[float, float], ...], ...]:
    """The usual sizes of the boxes of train.

    Raises:
        UserError: If there are none.
    """
    sizes = [
        (box.width / post.size.width, box.height / post.size.height)
        for post in train.posts
        if post.size is not None
        for label in config.queries
        for box in post.inside(label) or ()
    ]
    if not sizes:
        raise UserError(
            f"{train.source.name}: has no box in a picture that can be opened, so there is nothing "
            "to ground; name runs with regions in weak_boxes, or set weights.anchor=0"
        )
    return scaled_apart(cluster_anchors(sizes, SCALES * ANCHORS), SCALES)


def _mner_qg(network: nn.Module) -> MnerQg:
    if not isinstance(network, MnerQg):
        raise TypeError(f"expected an MnerQg, got {type(network).__name__}")
    return network
