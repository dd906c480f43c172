"""How ``riveg train entailer-itm`` trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from riveg.training.config import TrainingConfig
from riveg.training.loop_settings import LoopSettings
from riveg.vision.matchers.matcher import Tower
from riveg.vision.queries import QueryTemplate, query_fields

_WRITTEN = frozenset({"expression", "description"})
"""Fields of a query that a rewriter fills."""


class EntailerItmSettings(TrainingConfig):
    """From which network an entailer is trained, on which texts, and how.

    ``model``: a folder or fetched id of a BLIP or BLIP-2 with a matching head, or of a SigLIP or
    SigLIP 2; its ``config.json`` says which. ``revision`` pins its commit.

    ``query``: the text that is held against the picture, a template as in ``entail``.
    ``expressions``: run folders that a query with ``{expression}`` or ``{description}`` takes them
    from, about train and dev. ``frozen``: towers that stay as they are, ``vision`` or ``text``.
    """

    name: ClassVar[str] = "entailer-itm"
    summary: ClassVar[str] = "BLIP, BLIP-2 or SigLIP learn what pictures show (entail: itm, siglip)"

    model: str = Field(min_length=1)
    revision: str | None = None
    query: QueryTemplate
    expressions: tuple[Path, ...] = ()
    frozen: tuple[Tower, ...] = ()
    loop: LoopSettings = LoopSettings()

    @field_validator("expressions", mode="before")
    @classmethod
    def _one_or_several(cls, runs: Any) -> Any:
        return (runs,) if isinstance(runs, str | Path) else runs

    @model_validator(mode="after")
    def _check_expressions(self) -> Self:
        needed = sorted(query_fields(self.query) & _WRITTEN)
        if needed and not self.expressions:
            raise ValueError(
                f"query: {{{needed[0]}}} is what a rewriter says, and no run says it; name runs "
                "over train and dev in expressions: `riveg run riveg --set tag=gold --until "
                "rewrite --split train` makes one"
            )
        if self.expressions and not needed:
            raise ValueError(
                f"expressions have no effect: the query {self.query!r} has no {{expression}}"
            )
        return self
