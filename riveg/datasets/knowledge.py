"""Knowledge of a language model about the posts of a dataset, joined by id or by text.

Two forms are read: PGIM's, the sentence's tokens, ``<EOS>`` and the words of the knowledge in one
CoNLL sentence; and JSON lines with ``knowledge`` and with ``id``, ``text`` or ``tokens``, as the
records of a run have them. A run that has not come to its end is refused. Nothing is ever joined by
its place in the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from riveg.datasets.dataset import quoted
from riveg.datasets.knowledge_runs import AUGMENT, knowledge_run
from riveg.errors import UserError
from riveg.formats.conll import read_conll
from riveg.formats.json_files import checked, parse_json
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
        knowledge: The text of the knowledge on one line; ``""`` where there is none.
        failed: Whether there is none because a run's stage ``augment`` has failed on the post.
    """

    place: str
    sample_id: str | None
    tokens: tuple[str, ...] | None
    text: str | None
    knowledge: str
    failed: bool = False


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


def knowledge_of(
    samples: Iterable[Sample],
    files: Iterable[Path],
    name: str,
    note: Callable[[str], None] = lambda _: None,
) -> dict[str, tuple[str, ...]]:
    """The different pieces of knowledge about each sample, by its id, in file order.

    Args:
        samples: The posts.
        files: Each perhaps by another language model.
        name: What the posts are called in messages.
        note: Is told of each file how many posts it has knowledge about, and who has made it.

    Raises:
        UserError: If a file holds knowledge about a post that is none of these, says another text
            of a post than it has, or holds no knowledge at all.
    """
    by_id: dict[str, Sample] = {}
    by_tokens: dict[tuple[str, ...], list[Sample]] = {}
    by_text: dict[str, list[Sample]] = {}
    for sample in samples:
        by_id[sample.id] = sample
        by_tokens.setdefault(sample.tokens, []).append(sample)
        by_text.setdefault(sample.text, []).append(sample)
    found: dict[str, dict[str, None]] = {}
    for path in files:
        counts: Counter[str] = Counter()
        for one in read_knowledge(path):
            counts["all"] += 1
            counts["with"] += bool(one.knowledge)
            counts["failed"] += one.failed
            if one.sample_id is not None:
                meant = [by_id[one.sample_id]] if one.sample_id in by_id else []
            elif one.tokens is not None:
                meant = by_tokens.get(one.tokens, [])
            else:
                meant = by_text.get(one.text or "", [])
            if not meant:
                raise UserError(f"{one.place}: {_called(one)} is no post of {name}; {_ADVICE}")
            for sample in meant:
                _require_same(one, sample)
                if one.knowledge:
                    found.setdefault(sample.id, {})[one.knowledge] = None
        note(_told(path, counts))
    return {sample_id: tuple(texts) for sample_id, texts in found.items()}


_ADVICE = "give the knowledge file of this split and version"


def _told(path: Path, counts: Counter[str]) -> str:
    failed = counts["failed"]
    mend = f"; {AUGMENT} failed on {failed}: give its run again with --retry-failed"
    if not counts["with"]:
        raise UserError(f"{path}: holds no knowledge about any post{mend if failed else ''}")
    run = knowledge_run(path)
    return (
        f"{path}: knowledge about {counts['with']} of {counts['all']} posts"
        f"{f' {run.described()}' if run else ''}{mend if failed else ''}"
    )


def _called(one: KnowledgeText) -> str:
    if one.sample_id is not None:
        return f"the id {quoted(one.sample_id)}"
    return quoted(" ".join(one.tokens) if one.tokens is not None else one.text or "")


def _require_same(one: KnowledgeText, sample: Sample) -> None:
    other = one.tokens is not None and one.tokens != sample.tokens
    if other or (one.text is not None and one.text != sample.text):
        said = " ".join(one.tokens) if one.tokens is not None and other else one.text or ""
        raise UserError(
            f"{one.place}: knowledge about {quoted(said)}, but the post {quoted(sample.id)} is "
            f"{quoted(sample.text)}; {_ADVICE}"
        )


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
            knowledge=" ".join(" ".join(sentence.tokens[end + 1 :]).split()),
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
    words = " ".join((row.knowledge or "").split())
    failed = not words and any(issue.stage == AUGMENT for issue in row.issues)
    return KnowledgeText(place, row.id, row.tokens, row.text, words, failed)
