"""Files of a language model's knowledge about posts.

Two forms are read: PGIM's, the sentence's tokens, ``<EOS>`` and the words of the knowledge in one
CoNLL sentence; and JSON lines with ``knowledge`` and with ``id``, ``text`` or ``tokens``, as the
records of a run have them. A run that has not come to its end is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from riveg.errors import UserError
from riveg.formats.conll import read_conll
from riveg.formats.json_files import checked, parse_json
from riveg.formats.knowledge_runs import AUGMENT, knowledge_run
from riveg.formats.lines import numbered_lines
from riveg.formats.run_records import RECORDS, open_records
from riveg.types import Sample

KNOWLEDGE_MARK = "<EOS>"
"""PGIM's and RiVEG's taggers read the knowledge of a language model behind this token."""


@dataclass(frozen=True, slots=True)
class KnowledgeText:
    """What is known about one post.

    Args:
        place: File and line, for messages.
        sample_id: The post's id, where the file has one.
        tokens: The post's tokens, where the file has them.
        text: The post's text, where the file has it.
        knowledge: The text of the knowledge; ``""`` where there is none.
        failed: Whether there is none because a run's stage ``augment`` has failed on the post.
    """

    place: str
    sample_id: str | None
    tokens: tuple[str, ...] | None
    text: str | None
    knowledge: str
    failed: bool = False

    def is_about(self, sample: Sample) -> bool:
        """Whether the post has the words that the file says, where it says any."""
        return self.tokens in (None, sample.tokens) and self.text in (None, sample.text)


def read_knowledge(path: Path) -> Iterator[KnowledgeText]:
    """The knowledge in a file, in file order; a run's folder stands for its records.

    Raises:
        UserError: If the file cannot be read, is of neither form, or belongs to a run that has not
            come to its end, has no stage ``augment``, or has written other records.
    """
    run = knowledge_run(path)
    if path.is_dir():
        path /= RECORDS
    if run is not None:
        with open_records(run.folder) as lines:
            for number, line in enumerate(lines, start=1):
                yield _knowledge_text(line, f"{path}:{number}")
    elif path.suffix in {".jsonl", ".ndjson"}:
        yield from _read_jsonl(path)
    else:
        yield from _read_pgim(path)


def _read_pgim(path: Path) -> Iterator[KnowledgeText]:
    for sentence in read_conll(path):
        if KNOWLEDGE_MARK not in sentence.tokens:
            raise UserError(
                f"{path}:{sentence.line}: expected {KNOWLEDGE_MARK} and knowledge behind the "
                "sentence, as in PGIM's files, or a .jsonl file"
            )
        end = sentence.tokens.index(KNOWLEDGE_MARK)
        yield KnowledgeText(
            place=f"{path}:{sentence.line}",
            sample_id=sentence.image_id or None,
            tokens=sentence.tokens[:end],
            text=None,
            knowledge=" ".join(sentence.tokens[end + 1 :]).strip(),
        )


class _Issue(BaseModel):
    stage: str


class _Line(BaseModel):
    id: str | None = None
    tokens: tuple[str, ...] | None = None
    text: str | None = None
    knowledge: str | None
    issues: tuple[_Issue, ...] = ()


def _read_jsonl(path: Path) -> Iterator[KnowledgeText]:
    for number, line in numbered_lines(path):
        if line.strip():
            yield _knowledge_text(line, f"{path}:{number}")


def _knowledge_text(line: str | bytes, place: str) -> KnowledgeText:
    try:
        value: Any = parse_json(line)
    except ValueError as error:
        raise UserError(f"{place}: is no JSON ({error})") from error
    if isinstance(value, dict) and "offsets" in value:
        value = {"knowledge": None, **value}  # records leave out what is not there
    row = checked(_Line, value, f"{place}: is no knowledge about a post")
    if row.id is None and row.tokens is None and row.text is None:
        raise UserError(f"{place}: expected an id, tokens or a text beside the knowledge")
    knowledge = (row.knowledge or "").strip()
    failed = not knowledge and any(issue.stage == AUGMENT for issue in row.issues)
    return KnowledgeText(place, row.id, row.tokens, row.text, knowledge, failed)
