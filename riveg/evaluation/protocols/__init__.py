"""Ways of counting: riveg's own, and those of the released programs to the last count."""

from __future__ import annotations

from collections.abc import Mapping

from riveg.evaluation.cases import CaseScorer
from riveg.evaluation.protocols.e2e import E2E
from riveg.evaluation.protocols.h_index import H_INDEX
from riveg.evaluation.protocols.protocol import Protocol
from riveg.evaluation.protocols.riveg import RIVEG
from riveg.evaluation.protocols.sysu import SYSU_SAKE, SYSU_UNCO
from riveg.evaluation.protocols.tiger import TIGER, TIGER_IN_LOOP

__all__ = ["PROTOCOLS", "Protocol"]


def _canonical() -> CaseScorer:
    from riveg.evaluation.canonical import canonical

    return canonical()


CANONICAL = Protocol(
    name="canonical",
    summary="token spans where known, optimal matching, best box, IoU >= 0.5 in original pixels",
    metrics=("span", "mner", "eeg", "gmner", "grounded", "never_ground", "perfect_boxes"),
    build=_canonical,
)

PROTOCOLS: Mapping[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        CANONICAL,
        RIVEG,
        H_INDEX,
        TIGER,
        TIGER_IN_LOOP,
        E2E,
        SYSU_UNCO,
        SYSU_SAKE,
    )
}
"""Every protocol by its name, riveg's own first."""
