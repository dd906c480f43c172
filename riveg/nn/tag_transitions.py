"""Which tag may follow which, in BIO and in BIOES: tables for decoders, for numpy and torch."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from riveg.text.bio import OUTSIDE


class Transitions(NamedTuple):
    """What is legal.

    ``starts`` and ``ends``, *shape* ``(tags,)``: which tags a sentence may begin and end with;
    ``follows``, *shape* ``(tags, tags)``: by the tag before and the tag after.
    """

    starts: NDArray[np.bool_]
    follows: NDArray[np.bool_]
    ends: NDArray[np.bool_]


@cache
def legal_transitions(tags: tuple[str, ...]) -> Transitions:
    """The legal transitions among tags: BIOES where one of them ends an entity, else BIO.

    ``I-X`` (and ``E-X``) follows only ``B-X`` or ``I-X``; in BIOES, these two are followed by
    nothing else.
    """
    closes = any(tag[0] in "ES" for tag in tags)
    goes_on = np.array([tag[0] in "IE" for tag in tags])
    is_open = np.array([closes and tag[0] in "BI" for tag in tags])
    may_continue = np.array(
        [[a[0] in "BI" and a != OUTSIDE and a[2:] == b[2:] for b in tags] for a in tags]
    )
    follows = np.where(goes_on, may_continue, ~is_open[:, None])
    return Transitions(~goes_on, follows, ~is_open)


def span_tags(label: str, length: int, *, closes: bool) -> tuple[str, ...]:
    """The tags of one entity.

    Args:
        label: Its label.
        length: Its words, at least one.
        closes: Whether the scheme is BIOES, not BIO.

    >>> span_tags("PER", 3, closes=True), span_tags("PER", 1, closes=True)
    (('B-PER', 'I-PER', 'E-PER'), ('S-PER',))
    """
    if closes and length == 1:
        return (f"S-{label}",)
    inside = length - 1 - closes
    return (f"B-{label}", *[f"I-{label}"] * inside, *[f"E-{label}"] * closes)
