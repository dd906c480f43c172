"""What a stage and its backend read of a record: all that their answers can depend on.

A backend is handed views of the records that hold nothing else, so that what it declares is true.
From the same declaration follow which questions are equal, which are asked once, and which answers
stand when something else in the record changes.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, TypeVar, cast

from riveg.errors import IMAGE_FAULTS
from riveg.formats.records import encode
from riveg.protocols import AnswerOrIssue, Mention, PartialAnswer
from riveg.types import Entity, ImageRef, Issue, Sample, Span

Item = TypeVar("Item", bound=Sample | Mention)
Answer = TypeVar("Answer")
Key = TypeVar("Key")
Value = TypeVar("Value")

NAMED = "text label fine_label expression description"
"""What an entity is called: fields that queries and prompts may hold."""

_TEXT = frozenset({"text", "tokens", "offsets"})
_NOWHERE = Span(0, 1)


@dataclass(frozen=True, slots=True)
class Reads:
    """Names of fields.

    Args:
        sample: Of :class:`~riveg.types.Sample`. ``id``: as data, and not only to tell samples
            apart.
        entity: Of the entity that is asked about; none for a stage about samples.
        entities: Of every entity of the sample; none: not even how many there are.
    """

    sample: frozenset[str] = frozenset()
    entity: frozenset[str] = frozenset()
    entities: frozenset[str] = frozenset()

    def __or__(self, other: Reads) -> Reads:
        """What one of both reads."""
        return Reads(
            self.sample | other.sample, self.entity | other.entity, self.entities | other.entities
        )

    def view(self, sample: Sample) -> Sample:
        """A sample with nothing but what is read, its id, and whether its image can be used."""
        return Sample(
            id=sample.id,
            text=sample.text if "text" in self.sample else "",
            tokens=sample.tokens if "text" in self.sample else (),
            offsets=sample.offsets if "text" in self.sample else (),
            issues=tuple(
                Issue(one.stage, None, one.kind, "") for one in sample.issues if _ends(one)
            ),
            entities=self._entities(sample) if self.entities else None,
            **{name: getattr(sample, name) for name in self.sample - _TEXT - {"id"}},
        )

    def _entities(self, sample: Sample) -> tuple[Entity, ...] | None:
        if sample.entities is None:
            return None
        return tuple(entity_view(one, self.entities) for one in sample.entities)

    def digest(self, sample: Sample, stamp: str | None, *, per_entity: bool) -> str:
        """Digest of all that the answers about a sample depend on, 16 hexadecimal digits.

        Args:
            sample: As the stage before gives it.
            stamp: Of its image, where the stage opens it; its sides follow from that.
            per_entity: Whether each of its entities is asked about.
        """
        digest = hashlib.blake2b(self._key(self.view(sample), stamp), digest_size=8)
        for one in (sample.entities or ()) if per_entity else ():
            digest.update(encode(entity_view(one, self.entity)))
        return digest.hexdigest()

    def _key(self, view: Sample, stamp: str | None) -> bytes:
        """What is equal for samples that are read as equal."""
        if "id" not in self.sample:
            view = replace(view, id="")
        if stamp is not None and view.image is not None:
            view = replace(view, image=ImageRef(view.image.path))
        return hashlib.blake2b(encode(view) + (stamp or "").encode(), digest_size=16).digest()

    def questions(
        self, items: Sequence[Item], stamp: Callable[[Sample], str | None]
    ) -> Iterator[Question[Item]]:
        """Each item as a backend sees it; mentions of one sample share its view.

        Args:
            items: Samples or mentions; those of a sample stand side by side.
            stamp: As in :meth:`digest`, of each sample.
        """
        last: Sample | None = None
        view: Sample | None = None
        of_sample = b""
        for item in items:
            sample, entity = _parts(item)
            if view is None or sample is not last:
                last, view = sample, self.view(sample)
                of_sample = self._key(view, stamp(sample))
            if entity is None:
                yield Question(of_sample, cast("Item", view))
                continue
            seen = entity_view(entity, self.entity)
            own = seen if "id" in self.entity else replace(seen, id="")
            key = hashlib.blake2b(of_sample + encode(own), digest_size=16).digest()
            yield Question(key, cast("Item", Mention(view, seen)))


class Question(NamedTuple, Generic[Item]):
    """An item as a backend sees it; equal questions have equal keys."""

    key: bytes
    item: Item


def reads(sample: str = "", *, entity: str = "", entities: str = "") -> Reads:
    """Fields by their names, with blanks between them.

    >>> sorted(reads("text image", entity="label").sample)
    ['image', 'text']
    """
    return Reads(*(frozenset(names.split()) for names in (sample, entity, entities)))


def entity_view(entity: Entity, fields: Iterable[str]) -> Entity:
    """An entity with nothing but these fields and its id."""
    values: dict[str, Any] = {"text": "", "label": "", "span": _NOWHERE}
    values.update({name: getattr(entity, name) for name in fields}, id=entity.id)
    return Entity(**values)


def _parts(item: Sample | Mention) -> tuple[Sample, Entity | None]:
    return (item.sample, item.entity) if isinstance(item, Mention) else (item, None)


def _ends(issue: Issue) -> bool:
    """Whether no stage asks about the sample, or none that needs its image."""
    return issue.entity_id is None and (issue.kind in IMAGE_FAULTS or issue.stage == "input")


class Latest(Generic[Key, Value]):
    """The values that were put or taken last, ``most`` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        return key in self._values

    def get(self, key: Key) -> Value | None:
        """The value of a key, if it is kept."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Keeps a value; the one that nobody has taken for longest goes."""
        self._values[key] = value
        if len(self._values) > self._most:
            self._values.popitem(last=False)


class Questions(Generic[Item, Answer]):
    """Asks equal questions once, and keeps the answers for those to come.

    Args:
        reads: What stage and backend read.
        stamp: Of a sample's image, where the stage opens it.
        most_kept: Answers that are kept from one batch to the next.
    """

    def __init__(
        self, reads: Reads, stamp: Callable[[Sample], str | None], *, most_kept: int
    ) -> None:
        self._reads = reads
        self._stamp = stamp
        self._kept: Latest[bytes, AnswerOrIssue[Answer]] = Latest(most_kept)

    def new(self, items: Sequence[Item], known: Container[bytes] = ()) -> dict[bytes, Item]:
        """The distinct questions, as a backend sees them, that have no answer yet.

        Args:
            items: Samples or mentions.
            known: Keys of questions that will have one.
        """
        distinct: dict[bytes, Item] = {}
        for key, item in self._reads.questions(items, self._stamp):
            if key not in known and key not in self._kept:
                distinct.setdefault(key, item)
        return distinct

    def answers(
        self,
        items: Sequence[Item],
        ask: Callable[[Sequence[Item]], Sequence[AnswerOrIssue[Answer]]],
    ) -> Sequence[AnswerOrIssue[Answer]]:
        """The answer about each item; equal ones share it, in memory, too.

        Answers with an Issue are not kept: asked again, there may be none.
        """
        questions = list(self._reads.questions(items, self._stamp))
        known = {key: answer for key, _ in questions if (answer := self._kept.get(key)) is not None}
        new: dict[bytes, Item] = {}
        for key, item in questions:
            if key not in known:
                new.setdefault(key, item)
        found = dict(zip(new, ask(tuple(new.values())), strict=True)) if new else {}
        for key, answer in found.items():
            if not isinstance(answer, Issue | PartialAnswer):
                self._kept.put(key, answer)
        return [
            known[key] if key in known else _about(item, new[key], found[key])
            for (key, _), item in zip(questions, items, strict=True)
        ]


def _about(
    item: Sample | Mention, asked: Sample | Mention, answer: AnswerOrIssue[Answer]
) -> AnswerOrIssue[Answer]:
    """The answer to an equal question, its Issues about this item's entity."""
    if not (isinstance(item, Mention) and isinstance(asked, Mention)):
        return answer
    theirs, own = asked.entity.id, item.entity.id
    if theirs == own:
        return answer
    if isinstance(answer, Issue):
        return replace(answer, entity_id=own) if answer.entity_id == theirs else answer
    if isinstance(answer, PartialAnswer):
        issues = (
            replace(one, entity_id=own) if one.entity_id == theirs else one for one in answer.issues
        )
        return replace(answer, issues=tuple(issues))
    return answer
