"""Runs in an object store: made in a folder of this machine, and sent there part by part.

The folder lies in the cache. Whoever takes the store's lock makes it equal to the store first,
unless it held the lock last: then what is here is newer. Objects are files that were whole here, so
that the store holds whole parts only; the manifest goes last: it speaks of nothing that lacks.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from riveg.errors import UserError
from riveg.files import read_regular
from riveg.formats.run_records import MANIFEST
from riveg.runs.building import ANSWERS
from riveg.stores.files import local_file
from riveg.stores.folder_copy import FolderCopy
from riveg.stores.lock import StoreLock, is_alive, last_holder
from riveg.stores.store import Store, store_address

Say = Callable[[str], None]
"""Takes a line for people."""

_OF_A_RUN = re.compile(
    r"(manifest\.json|config\.yaml|(records|failed|predictions)\.jsonl|answers\.sqlite"
    r"|\d+-\w+/part-\d+\.jsonl|overlays/[^/]+\.png)"
)
"""What goes to a store and comes from it; what servers printed stays here, it may hold secrets."""

_PAUSE_S = 2.0
_PATIENCE_S = 120.0
"""How long a run that has ended tries to send the rest to a store that is away."""
_ANSWERS_PAUSE_S = 60.0
_REST = 10
"""Sending answers anew takes at most one part of so many of the time."""


@contextmanager
def working_folder(out: Path, say: Say) -> Iterator[Path]:
    """The folder in which a run is made: ``out`` itself, or one that is sent to the store.

    Args:
        out: A run folder, or the address of one in a store.
        say: Told what is waited for.

    Raises:
        UserError: If another run holds the folder in the store, it holds other objects, or the
            store cannot be used; at the end, if something could not be sent.
        MissingExtra: If the package for this kind of store is not installed.
    """
    address = store_address(out)
    if address is None:
        yield out
        return
    store = Store(address)
    copy = FolderCopy(store, "runs", _is_of_a_run)
    with copy.lock(waits=False) as owner:
        _require_own(store)
        lock = StoreLock(store, owner, _stop())
        before = lock.take(say)
        try:
            _fetch(copy, keeps_own=before is not None and before.owner == owner)
            sender = _Sender(store, copy, lock, say)
            try:
                yield copy.path
            except BaseException:
                lock.refuse_lost()
                with suppress(UserError):
                    sender.finish()
                raise
            lock.refuse_lost()
            sender.finish()
        except KeyboardInterrupt:
            lock.refuse_lost()  # what ended the run may have come while the rest was being sent
            raise
        finally:
            lock.give_back()


def local_run(place: Path) -> Path:
    """A run folder of this machine as it is; of one in a store, or of a file there, a fresh copy.

    Raises:
        UserError: If there is nothing, or the store cannot be used.
        MissingExtra: If the package for this kind of store is not installed.
    """
    address = store_address(place)
    if address is None:
        return place
    store = Store(address)
    if store.find() is not None:
        return local_file(place)
    copy = FolderCopy(store, "copies", _is_of_a_run)
    with copy.lock(waits=True):
        _fetch(copy, keeps_own=False)
    if not any(copy.path.iterdir()):
        raise UserError(f"{address}: holds no run")
    return copy.path


def process_in_store(place: Path) -> int | None:
    """The process that is at work on a run in a store; ``None`` if there is none.

    Raises:
        UserError: If the store cannot be used.
    """
    store = Store(store_address(place) or "")
    holder = last_holder(store)
    return holder.process if holder is not None and is_alive(store, holder) else None


def _is_of_a_run(name: str) -> bool:
    return _OF_A_RUN.fullmatch(name) is not None


def _require_own(store: Store) -> None:
    names = store.objects()
    if names and last_holder(store) is None and MANIFEST not in names:
        raise UserError(f"{store.address}: holds objects and is no run; choose another --out")


def _fetch(copy: FolderCopy, *, keeps_own: bool) -> None:
    if not keeps_own:
        for name in (f"{ANSWERS}-wal", f"{ANSWERS}-shm"):  # of answers that are replaced
            (copy.path / name).unlink(missing_ok=True)
    copy.fetch(keeps_own=keeps_own)


def _stop() -> Callable[[], None]:
    """What ends the run, as Ctrl-C does, when another one has taken its place in the store."""
    if threading.current_thread() is threading.main_thread():
        return lambda: os.kill(os.getpid(), signal.SIGINT)
    return lambda: None  # of a run in another thread: it ends with an error, but not at once


class _Sender:
    """Sends what a run writes, from a thread of its own, until :meth:`finish`."""

    def __init__(self, store: Store, copy: FolderCopy, lock: StoreLock, say: Say) -> None:
        self._store = store
        self._copy = copy
        self._lock = lock
        self._say = say
        self._manifest = b""
        self._answers: tuple[float, ...] = ()
        self._next_answers = time.monotonic() + _ANSWERS_PAUSE_S
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Sends the rest.

        Raises:
            UserError: If it cannot be sent; the same command sends it later.
        """
        self._ends.set()
        self._thread.join()
        end = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._send()
                self._send_answers()
                self._copy.note()
                return
            except UserError as error:
                if time.monotonic() > end or self._lock.is_lost:
                    raise UserError(
                        f"{error}; all of the run is in {self._copy.path}, and the same command "
                        "sends it"
                    ) from error
            time.sleep(_PAUSE_S)

    def _work(self) -> None:
        pause, was_told = _PAUSE_S, False
        while not self._ends.wait(pause):
            began = time.monotonic()
            try:
                self._send()
                if began >= self._next_answers:
                    self._send_answers()
                    took = time.monotonic() - began
                    self._next_answers = began + max(_ANSWERS_PAUSE_S, _REST * took)
                was_told = False
            except UserError as error:
                if not was_told:
                    self._say(f"{error}; the run goes on, and tries again")
                was_told = True
            pause = max(_PAUSE_S, 2 * (time.monotonic() - began))

    def _send(self) -> None:
        # Read before the others: it never tells of something that is sent after it.
        manifest = b""
        with suppress(FileNotFoundError):
            manifest = read_regular(self._copy.path / MANIFEST)
        changed = self._copy.changed()
        for name in (MANIFEST, ANSWERS):
            changed.pop(name, None)
        self._copy.send(changed, self._lock.require)
        if manifest != self._manifest:
            self._lock.require()
            self._store.write(MANIFEST, manifest)
            self._manifest = manifest

    def _send_answers(self) -> None:
        """A copy of the database as of one moment, while others write to it."""
        source = self._copy.path / ANSWERS
        files = [path for path in (source, source.with_name(f"{ANSWERS}-wal")) if path.exists()]
        state = tuple(path.stat().st_mtime for path in files)
        if not state or state == self._answers:
            return
        with TemporaryDirectory() as folder:
            target = Path(folder) / ANSWERS
            with (
                closing(sqlite3.connect(source)) as here,
                closing(sqlite3.connect(target)) as there,
            ):
                here.backup(there)
            self._lock.require()
            self._store.put(ANSWERS, target)
        self._answers = state
