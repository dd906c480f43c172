"""Files of thoughts about posts, which a vision-language model learns to write before its answers.

JSON lines: ``id`` and ``reasoning``, as the records of a run have them; or E2E-GMNER's, which name
a post by ``image_path`` and its thought by ``think``, ``cot`` or ``reasoning``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel

from riveg.errors import UserError
from riveg.formats.json_files import checked, parse_json
from riveg.formats.lines import numbered_lines
from riveg.formats.run_records import RECORDS, open_records


@dataclass(frozen=True, slots=True)
class ReasoningText:
    """A thought about one post.

    Args:
        place: File and line, for messages.
        sample_id: The post's id, where the file has one.
        image_stem: The name of its image, without folder and suffix, where the file has that.
        thoughts: The text; ``""`` where there is none.
    """

    place: str
    sample_id: str | None
    image_stem: str | None
    thoughts: str


class _Line(BaseModel):
    id: str | None = None
    image_path: str | None = None
    reasoning: str | None = None
    think: str | None = None
    cot: str | None = None


def read_reasoning(path: Path) -> Iterator[ReasoningText]:
    """The thoughts in a file, in file order; a run's folder stands for its records.

    Raises:
        UserError: If the file cannot be read, or a line names no post or is no text.
    """
    if path.is_dir():
        with open_records(path) as lines:
            for number, line in enumerate(lines, start=1):
                yield _reasoning(line, f"{path / RECORDS}:{number}")
        return
    for number, text in numbered_lines(path):
        if text.strip():
            yield _reasoning(text, f"{path}:{number}")


def _reasoning(line: str | bytes, place: str) -> ReasoningText:
    try:
        value: Any = parse_json(line)
    except ValueError as error:
        raise UserError(f"{place}: is no JSON ({error})") from error
    row = checked(_Line, value, f"{place}: is no reasoning about a post")
    if row.id is None and row.image_path is None:
        raise UserError(f"{place}: expected an id, or an image_path, beside the reasoning")
    stem = None if row.image_path is None else PurePosixPath(row.image_path).stem
    thoughts = next(filter(None, (row.reasoning, row.think, row.cot)), "").strip()
    try:
        thoughts.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{place}: the reasoning is no text: half of a surrogate pair") from error
    return ReasoningText(place, row.id, stem, thoughts)
