"""MNER-QG (Jia et al. 2023, arXiv 2211.14739) as ``riveg train mner-qg`` makes it.

All queries of a sample share one pass of its image through the backbone. Of spans that overlap the
more probable is kept. A region belongs to a type, not to an entity: several people share one, which
is the paper's own weakness.

Batches change the order in which numbers are added, so that scores differ by some 1e-6; scores are
rounded to four digits, boxes to a tenth of a pixel.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from riveg.checkpoints.folders import EXTRA
from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import ImageFault, UserError
from riveg.files import file_digest
from riveg.nn.mner_qg_design import SETTINGS, read_settings
from riveg.protocols import AnswerOrIssue, Extraction, Extractor, ImageSource
from riveg.reads import Reads, reads
from riveg.text.spans import span_text
from riveg.types import Entity, ImageSize, Issue, Region, Sample
from riveg.vision.detectors.regions import choose_regions
from riveg.vision.runtime.image_queue import PreparedImageQueue
from riveg.vision.runtime.image_worker import PreparedImage
from riveg.vision.runtime.options import Device, DType
from riveg.vision.runtime.square_images import Preparation

if TYPE_CHECKING:
    import torch

    from riveg.nn.mner_qg_decoding import GroundedSpan

_FILES = (SETTINGS, "model.safetensors", "config.json", "tokenizer.json", "backbone/config.json")


class MnerQgExtractorConfig(BackendConfig[Extractor]):
    """``model``: a folder that ``riveg train mner-qg`` made.

    ``threshold``: a region's score must reach it; by default the one that was calibrated on dev.
    ``per_entity``: whether a type's region goes to ``all`` its entities, as in the paper, or to the
    most probable ``one`` of a post. ``device``, ``dtype``: ``auto`` is a GPU in bfloat16 where
    there is one. ``batch_size``: samples in one forward pass. ``workers``: processes that open and
    resize images ahead of the network, which a GPU wants.
    """

    stage: ClassVar[str] = "extract"
    name: ClassVar[str] = "mner-qg"
    summary: ClassVar[str] = "MNER-QG of your own: riveg train mner-qg (spans and a region a type)"
    extra: ClassVar[str | None] = EXTRA
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors")
    needs_image: ClassVar[bool] = True
    immaterial: ClassVar[frozenset[str]] = frozenset({"batch_size", "workers"})

    model: Path
    threshold: float | None = Field(default=None, ge=0, le=1)
    per_entity: Literal["all", "one"] = "all"
    device: Device = "auto"
    dtype: DType = "auto"
    batch_size: int = Field(default=8, ge=1)
    workers: int = Field(default=0, ge=0)

    def reads(self) -> Reads:
        return reads("text image")

    def build(self, context: BuildContext) -> MnerQgExtractor:
        """Loads the network.

        Raises:
            UserError: If the folder is not of an MNER-QG, or the device is not there.
        """
        return MnerQgExtractor(
            context.images,
            self._folder(context.base),
            threshold=self.threshold,
            per_entity=self.per_entity,
            device=self.device,
            dtype=self.dtype,
            batch_size=self.batch_size,
            workers=self.workers,
        )

    def own_labels(self, base: Path) -> tuple[str, ...]:
        """The types that its queries ask for."""
        return read_settings(self._folder(base)).labels

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the model's files."""
        folder = self._folder(base)
        return {name: file_digest(folder / name) for name in _FILES}

    def _folder(self, base: Path) -> Path:
        folder = Path(os.path.normpath(base / self.model))
        missing = [name for name in _FILES if not (folder / name).is_file()]
        if missing:
            raise UserError(
                f"extract.model: {folder} lacks {', '.join(missing)}; make it with "
                "`riveg train mner-qg`"
            )
        return folder


class MnerQgExtractor:
    """Asks all queries about each sample.

    Args:
        images: Where images come from.
        folder: As the training wrote it.
        threshold: As in the configuration.
        per_entity: As in the configuration.
        device: As in the configuration.
        dtype: As in the configuration.
        batch_size: Samples in one forward pass.
        workers: Processes that prepare images.

    Raises:
        UserError: If the folder is not of an MNER-QG, or the device is not there.
    """

    def __init__(
        self,
        images: ImageSource,
        folder: Path,
        *,
        threshold: float | None = None,
        per_entity: Literal["all", "one"] = "all",
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int = 8,
        workers: int = 0,
    ) -> None:
        from riveg.nn.encoders import padding_id
        from riveg.nn.mner_qg_folder import read_network, read_windows
        from riveg.nn.mner_qg_prediction import MnerQgPrediction
        from riveg.vision.runtime.loading import place

        settings = read_settings(folder)
        if threshold is not None:
            settings = settings.model_copy(update={"threshold": threshold})
        placement = place(device, dtype)
        network = read_network(folder, settings).to(placement.device)
        side = settings.design.image_side
        preparation = Preparation(side, side, mean=settings.mean, deviation=settings.deviation)
        self.image_queue = PreparedImageQueue(images, preparation.prepare, workers=workers)
        self._settings = settings
        self._labels = tuple(settings.queries)
        self._per_entity = per_entity
        self._windows = read_windows(folder, settings, network)
        self._prediction = MnerQgPrediction(
            network,
            placement,
            padding_id=padding_id(network.encoder),
            queries=len(self._labels),
            batch_size=batch_size,
        )

    def extract(self, samples: Sequence[Sample]) -> Sequence[AnswerOrIssue[Extraction]]:
        """Entities by position, each with the region of its type or without one.

        ``score`` of an entity is the probability of its span, that of a region the probability that
        it is right; both are calibrated. A network that was taught no regions answers none.
        """
        from riveg.nn.mner_qg_decoding import grounded_spans
        from riveg.nn.mner_qg_inputs import QueriedPost

        prepared = self.image_queue.take_distinct(sample.image for sample in samples)
        posts = [
            QueriedPost(self._windows(sample.tokens), _pixels(prepared, sample))
            for sample in samples
        ]
        answers = self._prediction.answers(posts)
        return [
            self._answer(sample, grounded_spans(answer, self._settings), prepared)
            for sample, answer in zip(samples, answers, strict=True)
        ]

    def _answer(
        self,
        sample: Sample,
        found: Sequence[GroundedSpan],
        prepared: Mapping[str, PreparedImage[torch.Tensor] | ImageFault],
    ) -> AnswerOrIssue[Extraction]:
        from riveg.nn.mner_qg_decoding import calibrated, shown

        image = None if sample.image is None else prepared[sample.image.path]
        if isinstance(image, ImageFault):
            return Issue("extract", None, image.kind, str(image))
        coarse_of = self._settings.coarse_of
        entities = []
        scores = shown(found, self._settings, self._per_entity)
        for number, (one, score) in enumerate(zip(found, scores, strict=True)):
            name = self._labels[one.query]
            entities.append(
                Entity(
                    id=f"e{number}",
                    text=span_text(sample.text, sample.offsets, one.span),
                    label=coarse_of.get(name, name),
                    span=one.span,
                    score=calibrated(one.probability, self._settings.span_temperature),
                    fine_label=name if coarse_of else None,
                    regions=self._regions(one, score, None if image is None else image.size),
                )
            )
        return Extraction(tuple(entities))

    def _regions(
        self, found: GroundedSpan, score: float | None, size: ImageSize | None
    ) -> tuple[Region, ...] | None:
        """``None`` where the network grounds nothing, or there is no image to ground in."""
        if found.region is None or size is None:
            return None
        if score is None:
            return ()
        return choose_regions(
            np.array([found.region.edges]),
            np.array([score], dtype=np.float32),
            size=size,
            threshold=-1.0,  # the region has passed its own
            overlap=1.0,
            most=1,
            source=MnerQgExtractorConfig.name,
        )


def _pixels(
    prepared: Mapping[str, PreparedImage[torch.Tensor] | ImageFault], sample: Sample
) -> torch.Tensor | None:
    """The image as the backbone takes it, *shape* ``(3, side, side)``."""
    image = None if sample.image is None else prepared[sample.image.path]
    return None if image is None or isinstance(image, ImageFault) else image.value[0]
