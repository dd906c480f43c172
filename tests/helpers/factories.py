"""Small records for tests, made in one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from riveg.config.backend import BuildContext
from riveg.errors import ImageFault
from riveg.formats.records import encode
from riveg.geometry.arrays import Pixels
from riveg.protocols import Mention
from riveg.text.tokenise import join_tokens
from riveg.types import Entity, ImageRef, Sample, Span


class NoImages:
    """An image source without images, for backends that open none."""

    def load(self, image: ImageRef) -> Pixels:
        raise ImageFault("missing-image", f"{image.path} is not there")

    def probe(self, image: ImageRef) -> ImageRef:
        raise ImageFault("missing-image", f"{image.path} is not there")

    def stamp(self, image: ImageRef) -> str:
        return ""


def make_context(base: Path | None = None, **fields: Any) -> BuildContext:
    """A context whose relative paths start at ``base``."""
    return BuildContext(images=NoImages(), base=base or Path(), **fields)


def make_sample(
    text: str,
    spans: Sequence[tuple[int, int, str]] = (),
    *,
    id: str = "1",
    has_image: bool = True,
    **fields: Any,
) -> Sample:
    """A tokenised sample; ``spans`` are ``(start, end, label)`` and become entities e0, e1, ..."""
    tokens = tuple(text.split(" "))
    joined, offsets = join_tokens(tokens)
    fields.setdefault(
        "entities",
        tuple(
            Entity(f"e{number}", " ".join(tokens[start:end]), label, Span(start, end))
            for number, (start, end, label) in enumerate(spans)
        ),
    )
    image = ImageRef(f"{id}.jpg") if has_image else None
    return Sample(id, joined, tokens, offsets, image, **fields)


def mentions_of(*samples: Sample) -> list[Mention]:
    """Every entity of the samples in its sample, in order."""
    return [Mention(sample, entity) for sample in samples for entity in sample.entities or ()]


def write_records(path: Path, samples: Iterable[Sample]) -> Path:
    """Writes samples as a run's records file."""
    path.write_bytes(b"".join(encode(sample) + b"\n" for sample in samples))
    return path
