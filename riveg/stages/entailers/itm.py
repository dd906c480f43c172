"""Entailment by BLIP's image-text matching head."""

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
    from riveg.models.itm_matcher import ItmMatcher

SOURCE = "itm"


class ItmEntailerConfig(TorchOptions, BackendConfig):
    """``query``: the text that is held against the picture, as a template.

    It may hold ``{mention}``, ``{label}``, ``{expression}`` and ``{description}``.

    GEM's published template is ``{mention} is belong {label}``.

    ``threshold``: groundable from this probability on, in [0, 1].
    """

    stage: ClassVar[str] = "entail"
    name: ClassVar[str] = "itm"
    summary: ClassVar[str] = "BLIP's image-text matching head"
    extra: ClassVar[str | None] = "models"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors")
    needs_picture: ClassVar[bool] = True

    model: str = Field(default="Salesforce/blip-itm-base-coco", min_length=1)
    licence: str | None = "bsd-3-clause"
    query: QueryTemplate = "{expression}"
    threshold: float = Field(default=0.5, ge=0.0, le=1.0)

    def build(self, context: BuildContext) -> ItmEntailer:
        """Loads the network.

        Raises:
            UserError: If the model is not there, or is another.
        """
        from riveg.models.itm_matcher import load_itm_matcher

        matcher = load_itm_matcher(model_folder(self, context.base), self)
        return ItmEntailer(context.images, matcher, query=self.query, threshold=self.threshold)

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the model's files."""
        return model_contents(self, base)


class ItmEntailer:
    """Softmax of the head that was trained to tell a picture's own text from another's.

    Args:
        images: Where pictures come from.
        matcher: The network.
        query: The text that is held against the picture, as a template.
        threshold: Groundable from this probability on.
    """

    def __init__(
        self,
        images: PictureSource,
        matcher: ItmMatcher,
        *,
        query: str = "{expression}",
        threshold: float = 0.5,
    ) -> None:
        self._texts = PictureTexts(images, matcher, query=query, threshold=threshold, source=SOURCE)

    def entail(
        self, mentions: Sequence[Mention]
    ) -> Sequence[Entailment | Partly[Entailment] | Issue]:
        """P(the picture shows it); where the text had to be cut, an Issue says so."""
        return self._texts.entail(mentions)
