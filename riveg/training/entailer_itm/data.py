"""Gold mentions as pairs of a picture and a text, with whether the picture shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from riveg.datasets.dataset import quoted
from riveg.errors import UserError
from riveg.protocols import ImageSource
from riveg.training.data import AnnotatedSplit
from riveg.training.expressions import Expressions
from riveg.training.pictures import UsablePictures
from riveg.types import Entity, GoldEntity, ImageRef, Sample
from riveg.vision.queries import TextReader


@dataclass(frozen=True, slots=True)
class MatchRow:
    """A mention in a picture that can be used.

    Args:
        image: The picture.
        text: What is held against it, as long as the network reads.
        is_shown: Whether gold has a box for it.
        label: Its type.
        post: The number of its post.
    """

    image: ImageRef
    text: str
    is_shown: bool
    label: str
    post: int


@dataclass(frozen=True, slots=True)
class MatchRows:
    """The mentions of a split, in file order, and what a user should know of them.

    Args:
        source: The split.
        rows: Its mentions.
        images: Opens their pictures.
        remarks: How many there are and are shown, and which were left out or cut.
    """

    source: AnnotatedSplit
    rows: tuple[MatchRow, ...]
    images: ImageSource
    remarks: tuple[str, ...]


def read_rows(
    source: AnnotatedSplit, reader: TextReader, expressions: Expressions | None
) -> MatchRows:
    """The mentions of a split; each picture is opened once, to know which can be used.

    Args:
        source: The split.
        reader: Fills the template of the text, and cuts it.
        expressions: Of runs; ``None`` where the template has none.

    Raises:
        UserError: If all mentions are shown, or none, or no mention has an expression.
    """
    pictures = UsablePictures(source)
    unknown = 0
    rows: list[MatchRow] = []
    cut: list[str] = []
    for number, (sample, gold) in enumerate(source.pairs):
        known = [one for one in gold.entities if one.boxes is not None]
        unknown += len(gold.entities) - len(known)
        if not known or (image := pictures.of(sample)) is None:
            continue
        texts = reader.read([_entity(sample, one, expressions) for one in known])
        for one, text in zip(known, texts, strict=True):
            if text.was_cut:
                cut.append(f"{quoted(one.text)} of {quoted(sample.id)}")
            rows.append(MatchRow(image, text.text, bool(one.boxes), one.label, number))
    left_out = [*pictures.remarks("are left out with their mentions")]
    if unknown:
        left_out.append(
            f"{source.name}: of {unknown} mentions gold does not say whether they have a box: left "
            "out"
        )
    remarks = [_balance(source, rows, left_out), *left_out]
    if cut:
        remarks.append(f"{source.name}: {len(cut)} texts are too long and were cut, as {cut[0]}")
    if expressions is not None:
        remarks.append(expressions.remark(source))
    return MatchRows(source, tuple(rows), source.images, tuple(remarks))


def _entity(sample: Sample, one: GoldEntity, expressions: Expressions | None) -> Entity:
    said = None if expressions is None else expressions.whole(sample.id, one.span)
    return Entity(
        "e0",
        one.text,
        one.label,
        one.span,
        fine_label=one.fine_label,
        expression=None if said is None else said.text,
        description=None if said is None else said.description,
    )


def _balance(source: AnnotatedSplit, rows: Sequence[MatchRow], left_out: Sequence[str]) -> str:
    """How many mentions are shown.

    Args:
        source: The split.
        rows: Its mentions.
        left_out: Which mentions are not among them, and why.

    Raises:
        UserError: If they are all alike: there is nothing to learn, or to choose a threshold by.
    """
    shown = sum(row.is_shown for row in rows)
    if not 0 < shown < len(rows):
        what = "all" if shown else "none"
        count = f"{len(rows)} mentions with a picture that can be opened"
        problem = f"of {count}, {what} have a box, so there is nothing to tell apart"
        if not rows:
            problem = "no mention is left to learn from"
        why = "; ".join(left_out) or "it takes data with gold boxes, where some mentions have none"
        raise UserError(f"{source.name}: {problem}; {why}")
    return f"{source.name}: {shown} of {len(rows)} mentions are shown ({shown / len(rows):.1%})"
