"""Answers of RiVEG's OFA models from their files, joined by image and mention.

The files name an entity by its image, its words and its type. The n-th row of the same words and
type is about the n-th such mention of the post.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Generic

from riveg.errors import UserError
from riveg.formats.riveg_rows import (
    EntityRow,
    RowBox,
    image_of,
    join_boxes,
    read_row_answers,
    read_row_boxes,
    read_rows,
)
from riveg.pipeline import Answer
from riveg.protocols import AnswerOrIssue, Mention
from riveg.stages.recordings import add_once, not_recorded, recorded_digest, recorded_file
from riveg.text.folding import drop_blanks

OFA = "ofa"
"""``source`` of the answers of RiVEG's models."""

_RECORDS, _OFA_JSON = ".jsonl", ".json"

_Named = tuple[str, str, str]
"""Image, words without blanks, type."""


def is_records(file: Path, base: Path) -> bool:
    """Whether a file of recorded answers, or a run folder, holds records.

    Raises:
        UserError: If it is not there.
    """
    return recorded_file(file, base).suffix == _RECORDS


def recorded_contents(base: Path, *files: Path | None) -> dict[str, str]:
    """A backend's ``contents``: digests of the files that it joins."""
    found: dict[str, str] = {}
    for file in files:
        if file is not None:
            found |= recorded_digest(file, base)
    return found


def shown_rows(file: Path, rows: Path | None, base: Path) -> list[tuple[EntityRow, bool]]:
    """Rows with what the entailment model says of each.

    Args:
        file: Rows with flags, or the model's answers as a JSON list.
        rows: The rows that the JSON list is about.
        base: Where relative paths start.

    Raises:
        UserError: If a file is malformed, the rows are missing or not needed, or the ids differ.
    """
    path = recorded_file(file, base)
    if path.suffix != _OFA_JSON:
        if rows is not None:
            raise UserError(f"rows: {path} holds its own rows; rows go with a JSON list")
        return [(row, _flag(row, path)) for row in read_rows(path)]
    named = _named_rows(path, rows, base)
    answers: dict[str, bool] = {}
    for one in read_row_answers(path):
        add_once(answers, one.row_id, one.shown, str(path))
    lacking = next((row for row in named if row.row_id not in answers), None)
    if lacking is not None:
        raise UserError(
            f"{path}: has no answer for {lacking.row_id!r}, which is in line {lacking.line} of "
            f"{rows}; give the answers that were made from these rows"
        )
    strange = answers.keys() - {row.row_id for row in named}
    if strange:
        raise UserError(
            f"{path}: answers {min(strange)!r}, which is in no line of {rows}; give the rows that "
            "were asked about"
        )
    return [(row, answers[row.row_id]) for row in named]


def placed_rows(file: Path, rows: Path | None, base: Path) -> list[tuple[EntityRow, RowBox | None]]:
    """Rows with their boxes; ``None`` for a row whose flag says that nothing was asked.

    Args:
        file: The grounding model's boxes as a JSON list.
        rows: The rows that it is about, with the entailment's flags or without.
        base: Where relative paths start.

    Raises:
        UserError: If a file is malformed, the rows are missing, or boxes and rows are not of each
            other.
    """
    path = recorded_file(file, base)
    if path.suffix != _OFA_JSON:
        raise UserError(f"{path}: expected records (.jsonl), a run folder, or boxes (.json)")
    named = _named_rows(path, rows, base)
    asked = [row for row in named if row.shown is not False]
    boxes, is_by_id = join_boxes(asked, read_row_boxes(path), path)
    if not is_by_id:  # by order, as in the released program: none may be of another row or image
        own = {row.row_id for row in asked}
        for row, box in zip(asked, boxes, strict=True):
            is_of_another = box.row_id in own and box.row_id != row.row_id
            if is_of_another or row.image_id != image_of(box.row_id):
                raise UserError(
                    f"{path}: {box.row_id!r} stands where {rows} has {row.row_id!r} (line "
                    f"{row.line}): ids differ, and so does the order"
                )
    next_box = iter(boxes)
    return [(row, next(next_box) if row.shown is not False else None) for row in named]


@dataclass(frozen=True, slots=True)
class RowRecordings(Generic[Answer]):
    """Answers about rows, found by mention.

    Args:
        stage: The stage's name, for its issues.
        answers: By image, words and type, in the order of the rows.
        words: Types by image and words, for messages.
    """

    stage: str
    answers: dict[_Named, list[Answer]] = field(default_factory=dict)
    words: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, stage: str, rows: Iterable[tuple[EntityRow, Answer]]) -> RowRecordings[Answer]:
        """The answers of all rows."""
        found = cls(stage)
        for row, answer in rows:
            words = drop_blanks(row.name)
            found.answers.setdefault((row.image_id, words, row.label), []).append(answer)
            found.words.setdefault((row.image_id, words), set()).add(row.label)
        return found

    def find(self, mentions: Sequence[Mention]) -> list[AnswerOrIssue[Answer]]:
        """The answer about each mention."""
        return [self._find(mention) for mention in mentions]

    def _find(self, mention: Mention) -> AnswerOrIssue[Answer]:
        entity = mention.entity
        words, number = drop_blanks(entity.text), _number(mention)
        for image in _images(mention):
            found = self.answers.get((image, words, entity.label))
            if found is not None and number < len(found):
                return found[number]
            if found is not None:
                rows = "1 row" if len(found) == 1 else f"{len(found)} rows"
                return self._lacking(mention, f"has {rows} of it, and this is mention {number + 1}")
            labels = self.words.get((image, words))
            if labels:
                return self._lacking(mention, f"has it as {', '.join(sorted(labels))} only")
        return self._lacking(mention, "has no row of it")

    def _lacking(self, mention: Mention, what: str) -> AnswerOrIssue[Answer]:
        entity = mention.entity
        named = f"{entity.text}({entity.label}) of {mention.sample.id!r}"
        return not_recorded(self.stage, entity.id, f"{named}: the file {what}")


def _named_rows(path: Path, rows: Path | None, base: Path) -> list[EntityRow]:
    if rows is None:
        raise UserError(
            f"rows: {path} names entities by ids of rows only; name the file with these rows"
        )
    named = [*read_rows(recorded_file(rows, base))]
    lines: dict[str, int] = {}
    for row in named:
        first = lines.setdefault(row.row_id, row.line)
        if first != row.line:
            raise UserError(
                f"{rows}:{row.line}: the id {row.row_id!r} stands in line {first} too, so nobody "
                "knows which of them an answer is about"
            )
    return named


def _flag(row: EntityRow, path: Path) -> bool:
    if row.shown is None:
        raise UserError(f"{path}:{row.line}: no flag ###0 or ###2 at the end of the row")
    return row.shown


def _images(mention: Mention) -> tuple[str, ...]:
    """What rows may call the image of a mention's sample."""
    image = mention.sample.image
    names = (mention.sample.id, *(() if image is None else (PurePosixPath(image.path).stem,)))
    return tuple(dict.fromkeys(names))


def _number(mention: Mention) -> int:
    """How many mentions of the same words and type stand before this one."""
    own = (drop_blanks(mention.entity.text), mention.entity.label)
    before = 0
    for entity in mention.sample.entities or ():
        if entity.id == mention.entity.id:
            break
        before += (drop_blanks(entity.text), entity.label) == own
    return before
