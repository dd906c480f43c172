"""Mentions of one image, each with an expression of its own."""

from __future__ import annotations

from dataclasses import replace

from helpers.factories import make_sample, mentions_of
from riveg.protocols import Mention
from riveg.types import ImageRef


def mentions_in(image: str, *expressions: str) -> list[Mention]:
    """People in an image, whose name is also the sample's id, with an expression each."""
    count = len(expressions)
    sample = make_sample("x " * count + "x", [(n, n + 1, "PER") for n in range(count)])
    entities = tuple(
        replace(entity, expression=expression)
        for entity, expression in zip(sample.entities or (), expressions, strict=True)
    )
    return mentions_of(replace(sample, id=image, image=ImageRef(image), entities=entities))
