"""A folder of this machine that is a copy of one in a store, or from which that is written."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from riveg.caches import cache_home
from riveg.errors import UserError
from riveg.files import make_folder, read_regular, text_digest, write_atomically, writing
from riveg.stores.store import Listed, Store

_AT_ONCE = 8
"""Objects that are got or put side by side."""

_KNOWN = "known.json"

_State = tuple[int, int]
"""Size and time of a file: another one after each write."""


class FolderCopy:
    """The copy of a store's folder below the cache.

    Args:
        store: The folder in the store.
        kind: Folder of the cache; copies of one store in two of them do not meet.
        takes: Whether a name belongs to it; others are left alone, there and here.
    """

    def __init__(self, store: Store, kind: str, takes: Callable[[str], bool]) -> None:
        self._store = store
        self._takes = takes
        self._home = cache_home() / kind / text_digest(store.address)[:12]
        self.path = self._home / store.address.rpartition("/")[2]
        self._sent: dict[str, _State] = {}

    @contextmanager
    def lock(self, *, waits: bool) -> Iterator[str]:
        """Keeps other processes away from the copy; gives a name that the copy alone has.

        Args:
            waits: Whether to wait for another process.

        Raises:
            UserError: If another process has it, or it cannot be made.
        """
        make_folder(self.path)
        name = self._home / "owner"
        with writing(name), name.open("a+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise UserError(
                    f"{self._store.address}: another run on this machine is at work on it; wait "
                    "for it or choose another --out"
                ) from error
            handle.seek(0)
            owner = handle.read() or token_hex(16)
            handle.truncate(0)
            handle.write(owner)
            handle.flush()
            # The copy of a whole disk on another machine is not this one.
            yield f"{owner}@{socket.gethostname()}"

    def fetch(self, *, keeps_own: bool) -> None:
        """Makes the copy equal to the store's folder.

        Args:
            keeps_own: Whether files that are here already are newer than those of the store.

        Raises:
            UserError: If the store cannot be used, or has a name that leads out of the folder.
        """
        make_folder(self.path)
        there = self._there()
        here, known = self._here(), self._known()
        same = {
            name
            for name in there.keys() & here.keys()
            if known.get(name) == (there[name].version, *here[name])
        }
        if not keeps_own:
            for name in here.keys() - same:
                (self.path / name).unlink()
        missing = there.keys() - (here.keys() if keeps_own else same)
        _side_by_side(
            lambda name: self._store.get(name, self.path / name, there[name].written), missing
        )
        here = self._here()
        self._sent = {name: here[name] for name in same | missing if name in here}
        self._note(there)

    def changed(self) -> dict[str, _State]:
        """The files that the store does not have as they are now."""
        here = self._here()
        return {name: state for name, state in here.items() if self._sent.get(name) != state}

    def send(self, changed: Mapping[str, _State], require: Callable[[], None]) -> None:
        """Writes files into the store; one that changes meanwhile is a changed one again.

        Args:
            changed: As :meth:`changed` gives them.
            require: Raises an error if this process may not write any more.

        Raises:
            UserError: If the store cannot be used, and whatever ``require`` raises.
        """

        def put(name: str) -> None:
            require()
            self._store.put(name, self.path / name)
            self._sent[name] = changed[name]

        _side_by_side(put, changed)

    def note(self) -> None:
        """Writes down what is equal here and there, so that it need not be fetched again."""
        self._note(self._there())

    def _there(self) -> dict[str, Listed]:
        found = {name: one for name, one in self._store.objects().items() if self._takes(name)}
        for name in found:
            if not (self.path / name).absolute().is_relative_to(self.path.absolute()) or (
                ".." in name.split("/")
            ):
                raise UserError(f"{self._store.address}: the name {name!r:.80} leads out of it")
        return found

    def _here(self) -> dict[str, _State]:
        found = {}
        for folder, _, names in os.walk(self.path):
            for name in names:
                path = Path(folder) / name
                relative = path.relative_to(self.path).as_posix()
                if self._takes(relative):
                    status = path.lstat()
                    found[relative] = (status.st_size, status.st_mtime_ns)
        return found

    def _known(self) -> dict[str, tuple[str, int, int]]:
        try:
            values = json.loads(read_regular(self._home / _KNOWN))
            return {name: (str(value[0]), value[1], value[2]) for name, value in values.items()}
        except (OSError, ValueError):
            return {}

    def _note(self, there: Mapping[str, Listed]) -> None:
        known = {
            name: (there[name].version, *state)
            for name, state in self._sent.items()
            if name in there
        }
        write_atomically(self._home / _KNOWN, [json.dumps(known).encode()])


def _side_by_side(do: Callable[[str], None], names: Iterable[str]) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        asked = [pool.submit(do, name) for name in sorted(names)]
        try:
            for one in asked:
                one.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
