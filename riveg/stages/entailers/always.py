"""The gate left open: everything that has an image is taken for groundable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.protocols import Entailer, Mention
from riveg.types import Entailment, Issue


class AlwaysEntailerConfig(BackendConfig[Entailer]):
    """No settings."""

    stage: ClassVar[str] = "entail"
    name: ClassVar[str] = "always"
    summary: ClassVar[str] = "everything is groundable where there is a picture"

    def build(self, context: BuildContext) -> AlwaysEntailer:  # noqa: ARG002 - nothing needed
        return AlwaysEntailer()


class AlwaysEntailer:
    """Says yes without looking, so it has no probability to give."""

    def entail(self, mentions: Sequence[Mention]) -> Sequence[Entailment | Issue]:
        """Groundable wherever the sample has an image."""
        return [
            Entailment(None, mention.sample.image is not None, "always") for mention in mentions
        ]
