"""Answers of an earlier run, joined by id: what the ``recorded`` backends share.

A file is read once and kept as a dictionary of what the stage asks for, so memory grows with the
recorded file, not with the data that is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from riveg.errors import UserError
from riveg.files import file_digest
from riveg.formats.records import decode
from riveg.protocols import Mention
from riveg.types import Entity, Issue, Sample

NOT_RECORDED = "not-recorded"
"""Kind of the Issue where the file has no answer."""

_RECORDS = "records.jsonl"

Picked = TypeVar("Picked")


def recorded_file(file: Path, base: Path) -> Path:
    """The file of records that a configuration means; a run folder stands for its records.

    Raises:
        UserError: If it is not there.
    """
    path = base / file
    path = path / _RECORDS if path.is_dir() else path
    if not path.is_file():
        raise UserError(f"{path}: no recorded answers there; give a .jsonl file or a run folder")
    return path


def recorded_digest(file: Path, base: Path) -> dict[str, str]:
    """A backend's ``contents``: the digest of its recorded answers."""
    return {str(file): file_digest(recorded_file(file, base))}


def read_recorded(path: Path, pick: Callable[[Sample], Picked]) -> dict[str, Picked]:
    """What ``pick`` takes from each record, by sample id.

    Raises:
        UserError: If a line is no record, or two records have one id; says file and line.
    """
    picked: dict[str, Picked] = {}
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                sample = decode(Sample, line, where=f"{path}:{number}")
                add_once(picked, sample.id, pick(sample), f"{path}:{number}")
    return picked


def add_once(answers: dict[str, Picked], sample_id: str, answer: Picked, where: str) -> None:
    """Adds an answer.

    Raises:
        UserError: If the id has one already: which of the two is meant cannot be known.
    """
    if sample_id in answers:
        raise UserError(f"{where}: a second answer for {sample_id!r}; keep one of them")
    answers[sample_id] = answer


def read_entities(path: Path) -> Mapping[str, Mapping[str, Entity]]:
    """Entities by sample id and entity id; a sample that was never tagged has none."""
    return read_recorded(
        path, lambda sample: {entity.id: entity for entity in sample.entities or ()}
    )


def find_entity(
    recorded: Mapping[str, Mapping[str, Entity]], mention: Mention, stage: str
) -> Entity | Issue:
    """The recorded entity with the mention's ids.

    Ids count the entities of a text, so another tagger may have given one to other words; a
    recorded entity with another span is no answer.
    """
    sample, entity = mention.sample, mention.entity
    if sample.id not in recorded:
        return not_recorded(stage, entity.id, f"no record of sample {sample.id!r}")
    found = recorded[sample.id].get(entity.id)
    if found is None:
        return not_recorded(stage, entity.id, f"the record of {sample.id!r} has no {entity.id!r}")
    if found.span != entity.span:
        return not_recorded(
            stage,
            entity.id,
            f"{entity.id!r} is tokens {_range(entity)} here and {_range(found)} in the record of "
            f"{sample.id!r}",
        )
    return found


def not_recorded(stage: str, entity_id: str | None, message: str) -> Issue:
    """The Issue for a question that the file does not answer."""
    return Issue(stage, entity_id, NOT_RECORDED, message)


def _range(entity: Entity) -> str:
    return f"[{entity.span.start}, {entity.span.end})"
