"""Annotated mentions with their phrases' fields and their boxes, of pictures that can be used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from riveg.errors import UserError
from riveg.evaluation.reruns import run_settings
from riveg.geometry.boxes import box_around, clip_box
from riveg.lessons.questions import annotated_entities
from riveg.protocols import Mention
from riveg.runs.reading import read_records
from riveg.training.data import AnnotatedSplit
from riveg.training.expressions import Expressions
from riveg.training.pictures import UsablePictures
from riveg.types import Box, Entity, ImageSize, Sample


@dataclass(frozen=True, slots=True)
class BoxedMention:
    """A mention in a post whose picture can be used.

    Args:
        mention: It; its sample has the size of the upright picture.
        number: Its place among the mentions of its post.
        boxes: The gold boxes, within the picture; ``()``: the picture does not show it.
    """

    mention: Mention
    number: int
    boxes: tuple[Box, ...]

    @property
    def size(self) -> ImageSize:
        """Of the upright picture."""
        image = self.mention.sample.image
        assert image is not None
        assert image.size is not None
        return image.size

    def targets(self, choice: str) -> tuple[Box, ...]:
        """The boxes that are learnt: ``all``, the ``first``, or the ``union`` around all."""
        if choice == "union":
            return (box_around(self.boxes),) if self.boxes else ()
        return self.boxes[:1] if choice == "first" else self.boxes


@dataclass(frozen=True, slots=True)
class BoxedMentions:
    """The mentions of a split, in file order, and what a user should know of them."""

    source: AnnotatedSplit
    mentions: tuple[BoxedMention, ...]
    remarks: tuple[str, ...]


def read_mentions(source: AnnotatedSplit, expressions: Expressions | None) -> BoxedMentions:
    """The mentions of a split whose boxes are known; each picture is opened once.

    Args:
        source: The split.
        expressions: What runs have called the mentions.

    Raises:
        UserError: If no mention has an expression, where some are asked for, or none has a box.
    """
    found: list[BoxedMention] = []
    pictures = UsablePictures(source)
    unknown = outside = 0
    for sample, gold in source.pairs:
        if not gold.entities or (image := pictures.of(sample)) is None:
            continue
        seen = replace(sample, image=image)
        for number, (entity, one) in enumerate(
            zip(annotated_entities(seen, gold), gold.entities, strict=True)
        ):
            if one.boxes is None:
                unknown += 1
                continue
            mention = Mention(seen, _with_expression(entity, seen.id, expressions))
            boxes = tuple(_within(one.boxes, seen))
            outside += len(one.boxes) - len(boxes)
            if boxes or not one.boxes:
                found.append(BoxedMention(mention, number, boxes))
    remarks = [
        *([] if expressions is None else [expressions.remark(source)]),
        *pictures.remarks("are left out with their mentions"),
        *_remarks(source.name, unknown=unknown, outside=outside),
    ]
    if not any(one.boxes for one in found):
        told = f"; {remarks[-1]}" if remarks else ""
        raise UserError(
            f"{source.name}: has no box in a picture that can be opened, so there is nothing to "
            f"ground{told}"
        )
    return BoxedMentions(source, tuple(found), tuple(remarks))


def _with_expression(entity: Entity, sample_id: str, expressions: Expressions | None) -> Entity:
    written = None if expressions is None else expressions.whole(sample_id, entity.span)
    if written is None:
        return entity
    return replace(
        entity,
        expression=written.text,
        description=written.description,
        expression_source=written.source,
    )


def _within(boxes: Sequence[Box], sample: Sample) -> Iterator[Box]:
    assert sample.image is not None
    assert sample.image.size is not None
    for box in boxes:
        if (inside := clip_box(box, sample.image.size)) is not None:
            yield inside


def _remarks(name: str, *, unknown: int, outside: int) -> Iterator[str]:
    if unknown:
        yield f"{name}: of {unknown} mentions nobody says whether the picture shows them: left out"
    if outside:
        yield f"{name}: {outside} boxes lie outside of their pictures: left out"


def pictures_without_words(folders: Sequence[Path]) -> frozenset[str]:
    """The ids of posts in whose pictures runs have looked for words and found none.

    Raises:
        UserError: If a folder holds no finished run, or its run has not read the words of every
            picture.
    """
    found: set[str] = set()
    for folder in folders:
        observed = run_settings(folder).get("observe") or {}
        if observed.get("lettering") != "always":
            raise UserError(
                f"observations: {folder}: its run has not looked for words in every picture; "
                "`riveg run quickstart --set observe.lettering=always --until observe` does"
            )
        found.update(
            sample.id
            for sample in read_records(folder)
            if sample.observations is not None
            and not any(one.kind == "text" for one in sample.observations)
        )
    return frozenset(found)
