"""Entities that the text itself lists: Grounded-SAM's captions, "a cat. two dogs. sign"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.protocols import Tagger
from riveg.reads import Reads, reads
from riveg.text.spans import span_text
from riveg.types import Entity, Sample, Span

_STOP = "."


class PhraseTaggerConfig(BackendConfig[Tagger]):
    """``label``: the type of every phrase."""

    stage: ClassVar[str] = "tag"
    name: ClassVar[str] = "phrases"
    summary: ClassVar[str] = 'the phrases of a text such as "a cat. two dogs. sign"'

    label: str = Field(default="PHRASE", min_length=1)

    def reads(self) -> Reads:
        return reads("text")

    def build(self, context: BuildContext) -> PhraseTagger:  # noqa: ARG002
        return PhraseTagger(self.label)


class PhraseTagger:
    """The words between two full stops are an entity, as they are in the text, without a score.

    A full stop inside a token (3.5, an address) ends no phrase. A phrase that comes twice is two
    entities.

    Args:
        label: The type of every phrase.
    """

    def __init__(self, label: str = "PHRASE") -> None:
        self._label = label

    def tag(self, samples: Sequence[Sample]) -> Sequence[tuple[Entity, ...]]:
        """The phrases of each text, in order."""
        return [self._tag(sample) for sample in samples]

    def _tag(self, sample: Sample) -> tuple[Entity, ...]:
        return tuple(
            Entity(f"e{number}", span_text(sample.text, sample.offsets, span), self._label, span)
            for number, span in enumerate(_phrases(sample.tokens))
        )


def _phrases(tokens: Sequence[str]) -> Iterator[Span]:
    start = 0
    for position, token in enumerate([*tokens, _STOP]):
        if token == _STOP:
            if start < position:
                yield Span(start, position)
            start = position + 1
