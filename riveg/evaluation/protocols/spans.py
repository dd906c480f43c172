"""The tokens of entities, for programs that compare nothing else."""

from __future__ import annotations

from riveg.datasets.dataset import quoted
from riveg.errors import UserError
from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.types import Span


def known_span(case: Case, entity: PredictedEntity | AnnotatedEntity, protocol: str) -> Span:
    """The entity's tokens.

    Raises:
        UserError: If they are not known.
    """
    if entity.span is None:
        raise UserError(
            f"{quoted(case.id)}: the entity {quoted(entity.text)} does not tell its tokens, which "
            f"the protocol {protocol} compares; score it under another protocol"
        )
    return entity.span
