"""Tags of one token each, in any of the usual schemes, to typed spans.

All schemes are read by one rule, that of conlleval: a tag goes on with the entity before it if it
may, and opens another one otherwise. So the schemes differ in their letters and in what is
irregular in them, but never in the entities of a file that several of them fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple

from riveg.errors import UserError, suggest
from riveg.text.bio import OUTSIDE, bio_to_spans
from riveg.types import Span

_TAG = re.compile(r"[BIESLUM]-.+")

_CONTINUING = frozenset("IMEL")
"""Letters of tags that go on with an entity."""

_CLOSING = frozenset("ESLU")
"""Letters of tags that are the last of their entity."""


class Irregular(NamedTuple):
    """A tag that its scheme does not allow at its place, and how it is read.

    ``kind``: ``orphan-i`` continues no entity and opens one; ``open-entity`` begins or continues an
    entity that no tag ends, and is read as its end.
    """

    position: int
    kind: Literal["orphan-i", "open-entity"]


@dataclass(frozen=True, slots=True)
class TagScheme:
    """One way to mark entities.

    Args:
        name: As users write it.
        letters: What tags of entities begin with.
        opens_by_i: Whether ``I-`` opens an entity, and ``B-`` only one behind another of its type.
    """

    name: str
    letters: str
    opens_by_i: bool = False

    def spans(self, tags: Sequence[str]) -> tuple[tuple[Span, str], ...]:
        """Spans with their labels, in order; what is no tag is outside.

        >>> SCHEMES["bioes"].spans(["S-LOC", "B-PER", "E-PER", "O"])
        ((Span(start=0, end=1), 'LOC'), (Span(start=1, end=3), 'PER'))
        """
        return bio_to_spans(as_bio(tags))

    def irregular(self, tags: Sequence[str]) -> Iterator[Irregular]:
        """The tags that are not where the scheme has them."""
        marks = as_bio(tags)
        closes = bool(_CLOSING & set(self.letters) & _CONTINUING)
        for position, (tag, mark) in enumerate(zip(tags, marks, strict=True)):
            if mark == OUTSIDE:
                continue
            if tag[0] in _CONTINUING and mark[0] == "B" and not (self.opens_by_i and tag[0] == "I"):
                yield Irregular(position, "orphan-i")
            goes_on = position + 1 < len(marks) and marks[position + 1][0] == "I"
            if closes and tag[0] not in _CLOSING and not goes_on:
                yield Irregular(position, "open-entity")


SCHEMES: Mapping[str, TagScheme] = {
    scheme.name: scheme
    for scheme in (
        TagScheme("bio", "BI"),
        TagScheme("iob1", "BI", opens_by_i=True),
        TagScheme("bios", "BIS"),
        TagScheme("bioes", "BIES"),
        TagScheme("bilou", "BILU"),
        TagScheme("bmes", "BMES"),
    )
}

_OTHER_NAMES = {"iob2": "bio", "iobes": "bioes", "bilu": "bilou", "bioul": "bilou"}


def scheme_named(name: str) -> TagScheme:
    """The scheme of that name, in small or capital letters.

    Raises:
        UserError: If there is none.
    """
    plain = name.lower()
    found = SCHEMES.get(_OTHER_NAMES.get(plain, plain))
    if found is None:
        raise UserError(f"no tag scheme {name!r}; {suggest(plain, (*SCHEMES, *_OTHER_NAMES))}")
    return found


def is_tag(text: str) -> bool:
    """Whether a text is a tag of any scheme.

    >>> is_tag("B-PER"), is_tag("O"), is_tag("PER")
    (True, True, False)
    """
    return text == OUTSIDE or _TAG.fullmatch(text) is not None


def as_bio(tags: Sequence[str]) -> list[str]:
    """Tags of any scheme as BIO; what is no tag is outside.

    >>> as_bio(["I-PER", "E-PER", "E-PER", "U-LOC"])
    ['B-PER', 'I-PER', 'B-PER', 'B-LOC']
    """
    found: list[str] = []
    unfinished = ""
    for tag in tags:
        if tag == OUTSIDE or not _TAG.fullmatch(tag):
            found.append(OUTSIDE)
            unfinished = ""
            continue
        letter, label = tag[0], tag[2:]
        goes_on = letter in _CONTINUING and label == unfinished
        found.append(f"I-{label}" if goes_on else f"B-{label}")
        unfinished = "" if letter in _CLOSING else label
    return found


@dataclass(slots=True)
class TagEvidence:
    """What all tags of a file tell about their scheme, taken in sentence by sentence."""

    _first: dict[str, tuple[str, int]] = field(default_factory=dict)
    _no_tag: tuple[str, int] | None = None
    _opens_by_b: bool = False
    _opens_by_i: bool = False
    _divides_by_b: bool = False

    def add(self, tags: Sequence[str], lines: Sequence[int]) -> None:
        """Takes in one sentence.

        Args:
            tags: Its tags.
            lines: In which line of the file each of them stands.
        """
        label = ""
        for tag, line in zip(tags, lines, strict=True):
            if tag == OUTSIDE:
                label = ""
            elif not _TAG.fullmatch(tag):
                self._no_tag = self._no_tag or (tag, line)
                label = ""
            else:
                self._first.setdefault(tag[0], (tag, line))
                if tag[0] == "B":
                    self._opens_by_b |= tag[2:] != label
                    self._divides_by_b |= tag[2:] == label
                else:
                    self._opens_by_i |= tag[2:] != label
                label = tag[2:]

    def scheme(self, path: Path, named: TagScheme | None = None) -> TagScheme:
        """The scheme that the tags have.

        Args:
            path: Their file, for messages.
            named: The one that the user says it is.

        Raises:
            UserError: If the tags are of no scheme, of two at once, or not of the named one.
        """
        if named is not None:
            return self._checked(path, named)
        unknown = self._unknown()
        if unknown is not None:
            tag, line = unknown
            raise UserError(f"{path}:{line}: expected a tag such as O, B-PER, I-PER, found {tag!r}")
        fitting = _with_letters(self._first)
        if fitting:
            return SCHEMES["iob1"] if self._is_iob1 else fitting[0]
        (one, first), (other, second) = next(
            (one, other)
            for one, other in combinations(self._first.values(), 2)
            if not _with_letters({one[0][0], other[0][0]})
        )
        raise UserError(
            f"{path}:{second}: {other!r}, and {one!r} of line {first}, are tags of two schemes; "
            f"expected one of {', '.join(SCHEMES)}"
        )

    def _unknown(self) -> tuple[str, int] | None:
        """A tag that shows that the tags are of no scheme."""
        if not self._first:
            return self._no_tag
        # M- means the middle of an entity only beside its begin and its end.
        return None if {"B", "E"} <= self._first.keys() else self._first.get("M")

    @property
    def _is_iob1(self) -> bool:
        """For certain: ``I-`` opens entities, and ``B-`` occurs only where IOB1 needs it."""
        is_plain = self._first.keys() <= {"B", "I"}
        return is_plain and self._opens_by_i and self._divides_by_b and not self._opens_by_b

    def _checked(self, path: Path, named: TagScheme) -> TagScheme:
        for letter, (tag, line) in self._first.items():
            if letter not in named.letters:
                raise UserError(
                    f"{path}:{line}: {tag!r} is no tag of the named scheme {named.name}"
                )
        return named


def _with_letters(letters: Iterable[str]) -> list[TagScheme]:
    """The schemes that have all of these letters; they give the same entities."""
    return [scheme for scheme in SCHEMES.values() if set(letters) <= set(scheme.letters)]
