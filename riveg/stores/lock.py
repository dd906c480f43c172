"""A lock in an object store: one process at a time works on a run, on whatever machine.

Every process that takes the lock makes the object with the next number, which a store makes for one
process only (conditional writes: S3's ``If-None-Match``). The highest number holds the lock. While
it lives, it writes its object again and again; one that has not done so for a minute, by the clock
of the one that waits, has ended. No clocks are compared, and no object is ever removed.
"""

from __future__ import annotations

import json
import math
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from riveg.errors import UserError
from riveg.stores.store import Store

FOLDER = ".lock/"
"""Where the objects of the lock lie, below the run."""

BEAT_S = 5.0
LEASE_S = 60.0
"""A holder that was silent for so long has ended."""

_SIGNS = 2
_SURE_S = LEASE_S / 2
"""A holder writes nothing if it last made sure of its lock so long ago."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while a machine sleeps, where it can."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock, or held it last.

    Args:
        number: Of its object.
        owner: Known to the holder's working folder alone.
        host: Its machine.
        process: Its id there.
        beat: How often it has said that it lives.
        has_ended: Whether it has given the lock back.
    """

    number: int
    owner: str
    host: str
    process: int
    beat: int = 0
    has_ended: bool = False


def last_holder(store: Store) -> Holder | None:
    """The last one that took the lock of a run.

    Raises:
        UserError: If the store cannot be read, or the object is no lock's.
    """
    names = [name for name in store.objects() if name.startswith(FOLDER)]
    if not names:
        return None
    name = max(names)
    try:
        return Holder(**json.loads(store.read(name)))
    except (ValueError, TypeError) as error:
        raise UserError(f"{store.address}/{name}: is no lock of a run; remove it") from error


def is_alive(store: Store, holder: Holder, patience_s: float = 4 * BEAT_S) -> bool:
    """Whether a holder shows within some seconds that it lives; another one in its place does."""
    end, shown = _now() + patience_s, 0
    while not holder.has_ended and _now() < end:
        time.sleep(min(1.0, patience_s / 4))
        now = last_holder(store) or holder
        if now.number != holder.number:
            return not now.has_ended
        # What a killed process had under way may still come: one sign is none.
        shown += now.beat != holder.beat
        if shown == _SIGNS:
            return True
        holder = now
    return False


class StoreLock:
    """The lock of a run in a store, held by this process from :meth:`take` to :meth:`give_back`.

    Args:
        store: The run.
        owner: As :attr:`Holder.owner`; a holder of the same owner is known to have ended.
        lost: Called once, by another thread, when the lock has become another's.
    """

    def __init__(self, store: Store, owner: str, lost: Callable[[], None]) -> None:
        self._store = store
        self._owner = owner
        self._lost = lost
        self._ends = threading.Event()
        self._sure = -math.inf
        self.is_lost = False
        self._thread = threading.Thread(target=self._live, daemon=True)

    def take(self, say: Callable[[str], None]) -> Holder | None:
        """Takes the lock; who held it before.

        Args:
            say: Told what is waited for.

        Raises:
            UserError: If another process holds it, or the store knows no conditional writes.
        """
        before = last_holder(self._store)
        if before is not None and before.owner != self._owner and not before.has_ended:
            say(
                f"{self._store.address}: {_who(before)} has not given it back; waits up to "
                f"{LEASE_S:g} s for a sign of it"
            )
            if is_alive(self._store, before, LEASE_S):
                raise self._taken(before)
        number = 1 if before is None else before.number + 1
        self._holder = Holder(number, self._owner, socket.gethostname(), os.getpid())
        asked = _now()
        if not self._write(new=True):
            raise self._taken(last_holder(self._store))
        if self._write(new=True):
            raise UserError(
                f"{self._store.address}: this store knows no conditional writes (If-None-Match), "
                "so that nothing keeps a second run out; write to a folder of this machine and "
                "copy that"
            )
        self._sure = asked
        self._thread.start()
        return before

    def require(self) -> None:
        """Makes sure that the lock is held: nobody else may take it before half a minute.

        Raises:
            UserError: If it is another's, or this process could not reach the store for long.
        """
        self.refuse_lost()
        if not self._is_sure():
            raise UserError(f"{self._store.address}: its lock could not be renewed for long")

    def refuse_lost(self) -> None:
        """Does nothing while the lock is not another's.

        Raises:
            UserError: If it is.
        """
        if self.is_lost:
            raise UserError(
                f"{self._store.address}: another run has taken it over, as this one was silent for "
                "long; what is there is the other one's"
            )

    def _is_sure(self) -> bool:
        return _now() - self._sure < _SURE_S

    def give_back(self) -> None:
        """Lets the next one take it at once."""
        self._ends.set()
        self._thread.join()
        if self._is_sure():
            self._holder = replace(self._holder, has_ended=True)
            with suppress(UserError):  # the next one then waits for a sign of this one
                self._write()

    def _live(self) -> None:
        while not self._ends.wait(BEAT_S):
            try:
                asked = _now()
                now = last_holder(self._store)
                if now is not None and now.number > self._holder.number:
                    self._sure, self.is_lost = -math.inf, True
                    self._lost()
                    return
                self._holder = replace(self._holder, beat=self._holder.beat + 1)
                self._write()
                self._sure = asked
            except UserError:
                continue  # the store may be away for a moment; require() tells when it is too long

    def _write(self, *, new: bool = False) -> bool:
        name = f"{FOLDER}{self._holder.number:08d}"
        return self._store.write(name, json.dumps(asdict(self._holder)).encode(), new=new)

    def _taken(self, holder: Holder | None) -> UserError:
        who = "another process" if holder is None else _who(holder)
        return UserError(
            f"{self._store.address}: another run ({who}) is at work on it; wait for it or choose "
            "another --out"
        )


def _who(holder: Holder) -> str:
    return f"process {holder.process} on {holder.host}"


def _now() -> float:
    return time.clock_gettime(_CLOCK)
