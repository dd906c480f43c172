"""The shipped entailer: a calibrated logistic regression over text, caption and plain vision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import UserError
from riveg.files import asset, file_digest
from riveg.nn.entailment_classifier import EntailmentClassifier, read_classifier
from riveg.nn.entailment_features import NearbyContext
from riveg.nn.image_evidence import evidence_bounds, evidence_shifts, is_supported
from riveg.nn.named_bodies import NamedBodies, find_named_bodies
from riveg.protocols import Entailer, Mention
from riveg.reads import Reads, reads
from riveg.stages.mentions import by_sample
from riveg.types import UNSEEN, Entailment, Entity, Sample

SOURCE = "mini"
Unseen = Literal["never", "text"]

CAPTIONED = "caption.json"
"""The model for samples with a caption."""
CAPTIONLESS = "captionless.json"
"""The model for samples without one."""

_READ = "text label span label_scores"


class MiniEntailerConfig(BackendConfig[Entailer]):
    """``threshold``: groundable from this probability on, in [0, 1].

    ``unseen``: an entity that nothing seen in the image supports is ``never`` groundable, or as the
    ``text`` says; ``never`` is for grounders that place only what was seen. ``model``: a folder
    that ``riveg train entailer`` made, or nothing for the shipped one.
    """

    stage: ClassVar[str] = "entail"
    name: ClassVar[str] = "mini"
    summary: ClassVar[str] = "small calibrated classifier over text, caption and what is seen"
    code_revision: ClassVar[int] = 3
    parallel: ClassVar[bool] = True

    threshold: float = Field(default=0.5, ge=0.0, le=1.0)
    unseen: Unseen = "text"
    model: Path | None = None

    def reads(self) -> Reads:
        return reads("text caption image observations", entity=_READ, entities=_READ)

    def build(self, context: BuildContext) -> MiniEntailer:
        """Reads both models.

        Raises:
            UserError: If the folder is not an entailer's.
        """
        folder = _folder(self.model, context.base)
        return MiniEntailer(
            read_classifier(folder / CAPTIONED),
            read_classifier(folder / CAPTIONLESS),
            threshold=self.threshold,
            unseen=self.unseen,
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the two models."""
        folder = _folder(self.model, base)
        return {name: file_digest(folder / name) for name in (CAPTIONED, CAPTIONLESS)}


class MiniEntailer:
    """Asks the model for captioned samples where there is a caption, else the captionless one.

    Where a sample has observations, they shift the odds.

    Args:
        captioned: The model that reads the caption.
        captionless: The model that does not.
        threshold: Groundable from this probability on.
        unseen: Whether what nothing seen supports is ``never`` groundable, or as the ``text`` says.
    """

    def __init__(
        self,
        captioned: EntailmentClassifier,
        captionless: EntailmentClassifier,
        *,
        threshold: float = 0.5,
        unseen: Unseen = "text",
    ) -> None:
        self._captioned = captioned
        self._captionless = captionless
        self._threshold = threshold
        self._needs_support = unseen == "never"

    def entail(self, mentions: Sequence[Mention]) -> Sequence[Entailment]:
        """P(the image shows it); 0 and never groundable for a sample without an image."""
        answers: list[Entailment] = []
        for sample, together in by_sample(mentions):
            context, bodies = NearbyContext(sample), find_named_bodies(sample)
            answers += [self._entail(*context.of(mention.entity), bodies) for mention in together]
        return answers

    def _entail(self, sample: Sample, entity: Entity, bodies: NamedBodies) -> Entailment:
        if sample.image is None:
            return Entailment(0.0, False, SOURCE)
        has_caption = bool((sample.caption or "").strip())
        classifier = self._captioned if has_caption else self._captionless
        log_odds = {name: shift.log_odds for name, shift in classifier.shifts.items()}
        shifts = evidence_shifts(sample, entity, log_odds, bodies)
        limits = {name: limit.probability for name, limit in classifier.limits.items()}
        bounds = evidence_bounds(sample, entity, limits, bodies)
        probability = round(classifier.probability(sample, entity, shifts, bounds), 4)
        if probability < self._threshold:
            return Entailment(probability, False, SOURCE)
        looked = self._needs_support and sample.observations is not None
        if looked and not is_supported(sample, entity, bodies):
            return Entailment(probability, False, SOURCE + UNSEEN)
        return Entailment(probability, True, SOURCE)


def _folder(model: Path | None, base: Path) -> Path:
    folder = asset("entailer") if model is None else base / model
    missing = [name for name in (CAPTIONED, CAPTIONLESS) if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"entail.model: {folder} lacks {', '.join(missing)}; make it with "
            "`riveg train entailer`"
        )
    return folder
