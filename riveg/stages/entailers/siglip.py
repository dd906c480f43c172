"""Entailment by SigLIP or SigLIP 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from riveg.models.query_text import QueryTemplate
from riveg.models.torch_loading import model_contents, model_folder
from riveg.models.torch_options import TorchOptions
from riveg.protocols import BackendConfig, BuildContext, Mention, Partly, PictureSource
from riveg.stages.picture_texts import PictureTexts
from riveg.types import Entailment, Issue

if TYPE_CHECKING:
    from riveg.models.siglip_matcher import SiglipMatcher

SOURCE = "siglip"


class SiglipEntailerConfig(TorchOptions, BackendConfig):
    """``query``: the text that is held against the picture, as a template.

    It may hold ``{mention}``, ``{label}``, ``{expression}`` and ``{description}``.

    ``threshold``: groundable from this probability on, in [0, 1];
    SigLIP's probabilities are small, so take it from ``riveg calibrate``.
    """

    stage: ClassVar[str] = "entail"
    name: ClassVar[str] = "siglip"
    summary: ClassVar[str] = "SigLIP or SigLIP 2: sigmoid of text against picture"
    extra: ClassVar[str | None] = "models"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors")
    needs_picture: ClassVar[bool] = True

    model: str = Field(default="google/siglip2-base-patch16-224", min_length=1)
    licence: str | None = "apache-2.0"
    query: QueryTemplate = "{expression}"
    threshold: float = Field(default=0.1, ge=0.0, le=1.0)

    def build(self, context: BuildContext) -> SiglipEntailer:
        """Loads the network.

        Raises:
            UserError: If the model is not there, or is another.
        """
        from riveg.models.siglip_matcher import load_siglip_matcher

        matcher = load_siglip_matcher(model_folder(self, context.base), self)
        return SiglipEntailer(context.images, matcher, query=self.query, threshold=self.threshold)

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the model's files."""
        return model_contents(self, base)


class SiglipEntailer:
    """Sigmoid with the network's own scale and bias: a probability of each pair by itself.

    Args:
        images: Where pictures come from.
        matcher: The network.
        query: The text that is held against the picture, as a template.
        threshold: Groundable from this probability on.
    """

    def __init__(
        self,
        images: PictureSource,
        matcher: SiglipMatcher,
        *,
        query: str = "{expression}",
        threshold: float = 0.1,
    ) -> None:
        self._texts = PictureTexts(images, matcher, query=query, threshold=threshold, source=SOURCE)

    def entail(
        self, mentions: Sequence[Mention]
    ) -> Sequence[Entailment | Partly[Entailment] | Issue]:
        """P(the picture shows it); where the text had to be cut, an Issue says so."""
        return self._texts.entail(mentions)
