"""Which samples of its data a run takes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Self

from riveg.errors import UserError
from riveg.formats.records import encode
from riveg.types import Sample

SHARED_OUT = "shared_out"
"""Key of a shard's manifest: the digest of the samples that were shared out."""

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
            raise UserError(
                f"shard {text!r:.40}: expected NUMBER/OF with a number from 1 to OF, such as 3/16"
            )
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

    def of(self, samples: Iterable[Sample], part_size: int) -> Taken:
        """The samples that it takes."""
        return Taken(self, samples, part_size)

    def keys_of(self, manifest: Mapping[str, object]) -> dict[str, object]:
        """What the manifest of a run over the same portion says of it."""
        keys = ("limit",) if self.shard is None else ("limit", "shard", SHARED_OUT)
        return {key: manifest.get(key) for key in keys}


class Taken:
    """The samples that a portion takes; one goes over them once."""

    def __init__(self, portion: Portion, samples: Iterable[Sample], part_size: int) -> None:
        self._portion = portion
        self._samples = samples
        self._part_size = part_size
        self._digest = hashlib.blake2b(digest_size=16)

    def __iter__(self) -> Iterator[Sample]:
        first, shard = islice(self._samples, self._portion.limit), self._portion.shard
        return first if shard is None else shard.samples(self._noted(first), self._part_size)

    def _noted(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        for sample in samples:
            self._digest.update(encode(sample) + b"\n")
            yield sample

    def manifest(self) -> dict[str, object]:
        """What a run's manifest says of it, once one has gone over them.

        Shards have a digest of all samples of the data, their own and the others.
        """
        limit, shard = self._portion.limit, self._portion.shard
        if shard is None:
            return {"limit": limit}
        return {"limit": limit, "shard": str(shard), SHARED_OUT: self._digest.hexdigest()}
