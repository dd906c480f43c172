"""Which samples of its data a run takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Self

from riveg.errors import UserError
from riveg.types import Sample

_FORM = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several shares, for machines that need not know each other.

    Its parts are those numbered ``number - 1``, ``number - 1 + of``, ... of all.
    Whole parts are dealt, so that they are the same as in a run over everything.

    Args:
        number: Of this share, from 1.
        of: How many there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """A share as a user names it.

        >>> Shard.parse("3/16")
        Shard(number=3, of=16)

        Raises:
            UserError: If it is none.
        """
        found = _FORM.fullmatch(text)
        number, of = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= number <= of:
            raise UserError(f"--shard {text!r:.40}: expected NUMBER/OF, for example 3/16")
        return cls(number, of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def place(self, part: int) -> int:
        """Where the share's own ``part`` stands in a run over everything, both from 0."""
        return part * self.of + self.number - 1

    def samples(self, samples: Iterable[Sample], part_size: int) -> Iterator[Sample]:
        """The samples of its parts."""
        rest = iter(samples)
        part = 0
        while chunk := list(islice(rest, part_size)):
            if part % self.of == self.number - 1:
                yield from chunk
            part += 1


@dataclass(frozen=True, slots=True)
class Portion:
    """What a run takes of its data.

    Args:
        limit: Only the first so many samples; ``None``: all.
        shard: Of those, only this share.
    """

    limit: int | None = None
    shard: Shard | None = None

    def of(self, samples: Iterable[Sample], part_size: int) -> Iterator[Sample]:
        """The samples that it takes."""
        first = islice(samples, self.limit)
        return first if self.shard is None else self.shard.samples(first, part_size)

    def manifest(self) -> dict[str, object]:
        """What a run's manifest says of it."""
        return {"limit": self.limit, **({} if self.shard is None else {"shard": str(self.shard)})}
