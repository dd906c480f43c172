"""Answers of an earlier run, joined by id: what the ``recorded`` backends share.

A file is read once and kept as a dictionary of what the stage asks for, so memory grows with the
recorded file, not with the data that is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from riveg.errors import UserError
from riveg.files import file_digest, open_regular
from riveg.formats.records import decode
from riveg.formats.run_records import MANIFEST, RECORDS, open_records
from riveg.pipeline import Answer
from riveg.protocols import AnswerOrIssue, Mention
from riveg.types import Entity, Issue, Sample

NOT_RECORDED = "not-recorded"
"""Kind of the Issue where the file has no answer."""

Picked = TypeVar("Picked")


def recorded_file(file: Path, base: Path) -> Path:
    """The file of records that a configuration means; a run folder stands for its records.

    Raises:
        UserError: If it is not there.
    """
    path = base / file
    if path.is_dir():
        if (path / MANIFEST).is_file():
            with open_records(path):  # raises where they are of another run than the folder says
                pass
        path = path / RECORDS
    if not path.is_file():
        raise UserError(f"{path}: no recorded answers there; give a .jsonl file or a run folder")
    return path


def recorded_digest(file: Path, base: Path) -> dict[str, str]:
    """A backend's ``contents``: the digest of its recorded answers."""
    return {str(file): file_digest(recorded_file(file, base))}


def read_recorded(path: Path, pick: Callable[[Sample], Picked]) -> dict[str, Picked]:
    """What ``pick`` takes from each record, by sample id.

    Raises:
        UserError: If a line is no record, or two records, or two entities of one, have one id;
            says file and line.
    """
    picked: dict[str, Picked] = {}
    with open_regular(path) as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                sample = decode(Sample, line, where=f"{path}:{number}")
                _require_own_ids(sample, f"{path}:{number}")
                add_once(picked, sample.id, pick(sample), f"{path}:{number}")
    return picked


def _require_own_ids(sample: Sample, where: str) -> None:
    seen: set[str] = set()
    for entity in sample.entities or ():
        if entity.id in seen:
            raise UserError(
                f"{where}: two entities of {sample.id!r} have the id {entity.id!r}, by which "
                "stages join their answers; give each its own"
            )
        seen.add(entity.id)


def add_once(answers: dict[str, Picked], sample_id: str, answer: Picked, where: str) -> None:
    """Adds an answer.

    Raises:
        UserError: If the id has one already: nobody can know which of the two is right.
    """
    if sample_id in answers:
        raise UserError(f"{where}: a second answer for {sample_id!r}; keep one of them")
    answers[sample_id] = answer


def not_recorded(stage: str, entity_id: str | None, message: str) -> Issue:
    """The Issue for an item without a recorded answer."""
    return Issue(stage, entity_id, NOT_RECORDED, message)


def token_mismatch(stage: str, sample: Sample, theirs: Sequence[str]) -> Issue:
    """The Issue for a sample whose recorded answer is about other tokens, ``theirs``."""
    difference = _difference(theirs, sample.tokens)
    message = f"the file has other tokens for {sample.id!r}: {difference}"
    return Issue(stage, None, "token-mismatch", message)


def _difference(theirs: Sequence[str], ours: Sequence[str]) -> str:
    for position, (their, our) in enumerate(zip(theirs, ours, strict=False)):
        if their != our:
            return f"token {position} is {their!r} there and {our!r} here"
    return f"{len(theirs)} there and {len(ours)} here"


@dataclass(frozen=True, slots=True)
class EntityRecordings(Generic[Answer]):
    """The answers of a stage about entities.

    Args:
        stage: The stage's name, for its issues.
        what: What the answers are, for its issues.
        pick: The answer that an entity holds; ``None`` where it holds none.
        entities: By sample id and entity id; a sample that was never tagged has none.
    """

    stage: str
    what: str
    pick: Callable[[Entity], Answer | None]
    entities: Mapping[str, Mapping[str, Entity]]

    def find(self, mentions: Sequence[Mention]) -> list[AnswerOrIssue[Answer]]:
        """The recorded answer about each mention, found by the ids of sample and entity.

        Ids count the entities of a text, so another tagger may have given an id to other words: a
        recorded entity with another span is no answer.
        """
        return [self._find(mention.sample.id, mention.entity) for mention in mentions]

    def _find(self, sample_id: str, entity: Entity) -> AnswerOrIssue[Answer]:
        found = self.entities.get(sample_id, {}).get(entity.id)
        if found is not None and found.span == entity.span:
            answer = self.pick(found)
            if answer is not None:
                return answer
            message = f"the recorded entity has no {self.what}"
        elif found is not None:
            message = (
                f"{entity.id!r} is tokens {_range(entity)} here and {_range(found)} in the record "
                f"of {sample_id!r}"
            )
        elif sample_id in self.entities:
            message = f"the record of {sample_id!r} has no {entity.id!r}"
        else:
            message = f"no record of sample {sample_id!r}"
        return not_recorded(self.stage, entity.id, message)


def read_entities(file: Path, base: Path) -> Mapping[str, Mapping[str, Entity]]:
    """The entities of the records that a configuration means, by sample id and entity id.

    Raises:
        UserError: If they are not there, a line is no record, or two records have one id.
    """
    return read_recorded(
        recorded_file(file, base),
        lambda sample: {entity.id: entity for entity in sample.entities or ()},
    )


def _range(entity: Entity) -> str:
    return f"[{entity.span.start}, {entity.span.end})"
