"""Annotated samples in a temporary file: of each, memory holds its id and where it lies."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from riveg.errors import UserError
from riveg.formats.records import decode, encode

Stored = TypeVar("Stored")

_MOST_IN_MEMORY = 1 << 20
"""Bytes up to which nothing is written to disk."""


class StoredSamples(Mapping[str, Stored], Generic[Stored]):
    """A mapping by sample id, in the order of the items; each look takes its value from the file.

    Args:
        items: What is stored, all of one kind; a later value of an id replaces an earlier one.

    Raises:
        UserError: If the temporary file has no room.
    """

    def __init__(self, items: Iterable[tuple[str, Stored]]) -> None:
        self._file = tempfile.SpooledTemporaryFile(_MOST_IN_MEMORY)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._places: dict[str, int] = {}
        self._kind: type[Stored] | None = None
        try:
            for key, value in items:
                self._places[key] = self._file.tell()
                self._kind = type(value)
                self._file.write(encode(value) + b"\n")
        except OSError as error:
            raise UserError(
                f"the gold cannot be kept, its temporary file has no room ({error.strerror}); make "
                "room, or set TMPDIR to another place"
            ) from error

    def __getitem__(self, key: str) -> Stored:
        self._file.seek(self._places[key])
        assert self._kind is not None
        return decode(self._kind, self._file.readline())

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: object) -> bool:
        return key in self._places
