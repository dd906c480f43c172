"""An open gate: every entity of a sample with an image is groundable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.protocols import Entailer, Mention
from riveg.reads import Reads, reads
from riveg.types import Entailment


class AlwaysEntailerConfig(BackendConfig[Entailer]):
    """No settings."""

    stage: ClassVar[str] = "entail"
    name: ClassVar[str] = "always"
    summary: ClassVar[str] = "everything is groundable where there is a picture"
    parallel: ClassVar[bool] = True

    def reads(self) -> Reads:
        return reads("image")

    def build(self, context: BuildContext) -> AlwaysEntailer:  # noqa: ARG002 - nothing needed
        return AlwaysEntailer()


class AlwaysEntailer:
    """Answers yes without opening an image, and so without a probability."""

    def entail(self, mentions: Sequence[Mention]) -> Sequence[Entailment]:
        """Groundable wherever the sample has an image."""
        return [
            Entailment(None, mention.sample.image is not None, "always") for mention in mentions
        ]
