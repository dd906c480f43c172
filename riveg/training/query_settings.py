"""What the trainees have in common that learn to be asked a text about a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from riveg.training.config import TrainingConfig
from riveg.vision.queries import QueryTemplate, query_fields

_WRITTEN = frozenset({"expression", "description"})
"""Fields of a query that a rewriter fills."""


class QueryTrainingConfig(TrainingConfig):
    """From which model a trainee begins, and the text that it is asked.

    ``model``: a folder or a fetched id of the hub; ``revision`` pins its commit. ``query``: the
    template of the text. ``expressions``: runs over train and dev that a query with
    ``{expression}`` or ``{description}`` takes them from.
    """

    model: str = Field(min_length=1)
    revision: str | None = None
    query: QueryTemplate
    expressions: tuple[Path, ...] = ()

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
